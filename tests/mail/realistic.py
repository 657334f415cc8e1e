"""Mail as people and machines send it every day."""

from __future__ import annotations

from collections.abc import Callable

from tests.mail.mime import Entity, attachment, embedded, encode, header, mail, multipart, standard_fields, text
from tests.mail.planted import Plant, Sample

_STORIES = (
    ("Harbour bridge closes for repairs", "The harbour bridge closes on 3 March for eleven weeks. Ferries run every 12 minutes and carry "
     "340 passengers each. Lorries above 7.5 tonnes take the northern ring."),
    ("Library opens on Sundays", "From May the central library opens on Sundays from 11 to 17. The council pays 86,000 euros a year for "
     "the extra staff. A trial last autumn drew 2,100 visitors a day."),
    ("Record harvest of apples", "Growers picked 41,000 tonnes of apples, a fifth more than last year. Prices fell to 0.62 euros a kilo. "
     "The cooperative plans a second cold store."),
    ("Night trains return", "The night train to the coast runs again from 14 June, three times a week. A berth costs 49 euros when booked "
     "four weeks ahead. Bicycles travel free in the last coach."),
    ("School wins robot contest", "Eight pupils built a robot that sorts waste with 97 % accuracy. The jury praised its simple arm. "
     "They compete in the final in November."),
)  # fmt: skip


def _newsletter_html(plant: Plant) -> str:
    stories = "".join(
        f"<tr><td><table width='100%'><tr><td width='80'><img src='https://img.example/{number}.png' width='80' height='60' alt=''></td>"
        f"<td><h2><a href='{plant.link}&amp;s={number}'>{title}</a></h2><p>{story}</p></td></tr></table></td></tr>"
        for number, (title, story) in enumerate(plant.random.sample(_STORIES, 4))
    )
    return (
        "<!DOCTYPE html><html><head><style>.x{color:#333} @media screen{.y{display:none}}</style><title>News</title></head>"
        f"<body bgcolor='#eee'><div style='display:none'>News for {plant.recipient.name}</div>"
        f"<table width='600' align='center'><tr><td><h1>The week in {plant.word()}</h1><p>Good morning {plant.recipient.name},</p></td></tr>"
        f"{stories}<tr><td><!--[if mso]><p>Outlook</p><![endif]--><p style='font-size:10px'>Sent to {plant.recipient.address}. "
        f"<a href='https://news.example/unsubscribe?token={plant.token}'>Unsubscribe</a></p></td></tr></table>"
        f"<img src='https://track.example/o.gif?{plant.token}' width='1' height='1'></body></html>"
    )


def newsletter(plant: Plant) -> Sample:
    """Nested tables, a preheader, a tracking pixel, list headers, and a thin text form."""
    plain = text(f"Read this newsletter in your browser: {plant.link}\n")
    both = multipart(plant, "alternative", [plain, text(_newsletter_html(plant), "html")])
    more = [
        ("List-Id", f"<news.{plant.word().lower()}.example>"),
        ("List-Unsubscribe", f"<https://news.example/unsubscribe?token={plant.token}>"),
        ("Precedence", "bulk"),
    ]
    return plant.sample("newsletter", mail(plant, both, more))


def newsletter_html_only(plant: Plant) -> Sample:
    """One base64 body without a text form."""
    return plant.sample("newsletter html only", mail(plant, text(_newsletter_html(plant), "html", encoding="base64")))


def newsletter_related(plant: Plant) -> Sample:
    """Inline images by content id."""
    picture = attachment(bytes.fromhex("89504e470d0a1a0a") + plant.random.randbytes(300), "image/png", "header.png", "inline")
    body = text("<img src='cid:header'>" + _newsletter_html(plant), "html")
    return plant.sample("newsletter related", mail(plant, multipart(plant, "related", [body, picture], '; type="text/html"')))


def _spam(plant: Plant) -> Sample:
    markup = (
        "<html><body><center><font size=7 color=red>CONGRATULATIONS!!!</font><br><b>You have been s<span></span>elected</b> "
        f"for a prize of $4,800,000. Reply to {plant.other.address} or call {plant.phone} at once.<br>"
        + f"<a href='{plant.link}'>CLAIM NOW</a>" * 12
        + "<font color=white>"
        + " ".join(plant.word() for _ in range(400))
        + "</font></center></body>"
    )
    more = [("X-Mailer", "BulkSend 3"), ("X-Priority", "1 (Highest)"), ("Reply-To", plant.other.mailbox)]
    return plant.sample("spam prize", mail(plant, text(markup, "html", "windows-1252"), more))


def _phishing(plant: Plant) -> Sample:
    markup = (
        f"<html><body><p>Dear {plant.recipient.address},</p><p>your mailbox is 98 % full. "
        f"<a href='http://203.0.113.7/login?id={plant.token}'>https://mail.example.com/verify</a></p>"
        f"<form action='http://203.0.113.7/p'><input name=password></form><script>location='http://203.0.113.7/'</script></body></html>"
    )
    return plant.sample("spam phishing", mail(plant, multipart(plant, "mixed", [text(markup, "html")])))


def _spam_image(plant: Plant) -> Sample:
    picture = attachment(b"GIF89a" + plant.random.randbytes(2_000), "image/gif", "offer.gif", "inline")
    return plant.sample("spam image only", mail(plant, multipart(plant, "related", [text("<img src='cid:1'>", "html"), picture])))


def _quoted(content: str, level: int = 1) -> str:
    return "".join(f"{'> ' * level}{line}\n" for line in content.splitlines())


def _thread(plant: Plant, style: str) -> Sample:
    first = (
        f"Hello {plant.sender.name.split()[0]},\n\nthe supplier raised the price to 12.80 euros a unit from April. Should we order 4,000\n"
        f"units before then? You can call me at {plant.phone}.\n\n{plant.other.name}"
    )
    answer = "Yes, order 4,000 now. The store room has space until June.\nPlease ask for delivery in two parts."
    intro = f"On Tuesday {plant.other.name} <{plant.other.address}> wrote:\n"
    signature = f"\n-- \n{plant.sender.name}\nPurchasing, {plant.phone}\n"
    if style == "top":
        content = f"{answer}\n\n{intro}{_quoted(first)}"
    elif style == "bottom":
        content = f"{intro}{_quoted(first)}\n{answer}\n{signature}"
    elif style == "outlook":
        content = (
            f"{answer}\n\n-----Original Message-----\nFrom: {plant.other.mailbox}\nSent: Tuesday\nTo: {plant.sender.mailbox}\n"
            f"Subject: {plant.subject}\n\n{first}\n"
        )
    else:
        lines = first.splitlines()
        content = f"{intro}{_quoted(lines[2])}\nNo, from March already.\n\n{_quoted(lines[3])}\n{answer}\n{signature}"
    more = [
        ("In-Reply-To", f"<{plant.token}@{plant.other.address.partition('@')[2]}>"),
        ("References", f"<{plant.token}@{plant.other.address.partition('@')[2]}>"),
    ]
    return plant.sample(f"thread {style}", mail(plant, text(content, encoding="8bit"), more, subject=f"Re: {plant.subject}"))


def _flowed(plant: Plant) -> Sample:
    content = "The terrace will be paved in the second week of May. \nUntil then please use the side \ndoor. The key hangs at the \nporter.\n"
    entity = text(f"{content}\n-- \n{plant.sender.name} {plant.phone}\n", encoding="7bit")
    flowed = Entity((("Content-Type", "text/plain; charset=us-ascii; format=flowed; delsp=no"),), entity.body)
    return plant.sample("format flowed", mail(plant, flowed))


def _receipt(plant: Plant) -> Sample:
    total = plant.random.randrange(20, 900)
    rows = "".join(f"<tr><td>Item {number}</td><td>{number}</td><td>{total / number:.2f} EUR</td></tr>" for number in range(1, 6))
    markup = (
        f"<html><body><h1>Thank you for your order</h1><table><tr><th>Article</th><th>Number</th><th>Price</th></tr>{rows}"
        f"<tr><td colspan=2>Total</td><td>{total}.00 EUR</td></tr></table><p>{plant.recipient.name}<br>{plant.phone}</p>"
        f"<p>Order {plant.token}. Paid with card ending 4242.</p></body></html>"
    )
    both = multipart(plant, "alternative", [text(f"Total: {total}.00 EUR, order {plant.token}\n"), text(markup, "html")])
    return plant.sample("receipt", mail(plant, both, [("Auto-Submitted", "auto-generated")]))


def _password_reset(plant: Plant) -> Sample:
    content = f"Somebody asked for a new password for {plant.recipient.address}.\nOpen {plant.link}&reset={plant.token} within 30 minutes.\n"
    return plant.sample("password reset", mail(plant, text(content), [("Auto-Submitted", "auto-generated")]))


def _calendar(plant: Plant) -> Sample:
    calendar = (
        f"BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:{plant.token}\nDTSTART:20260615T090000Z\n"
        f"DTEND:20260615T100000Z\nSUMMARY:{plant.subject}\nORGANIZER;CN={plant.sender.name}:mailto:{plant.sender.address}\n"
        f"ATTENDEE;CN={plant.recipient.name}:mailto:{plant.recipient.address}\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    invite = Entity(
        (("Content-Type", "text/calendar; charset=utf-8; method=REQUEST"), ("Content-Transfer-Encoding", "base64")),
        encode(calendar.encode(), "base64"),
    )
    forms = [text("We meet on 15 June at 11 in the large room. Please bring the plans.\n"), invite]
    return plant.sample("calendar invite", mail(plant, multipart(plant, "alternative", forms)))


def _signed(plant: Plant, protocol: str) -> Sample:
    body = text(f"The contract is signed. Call {plant.phone} for the originals.\n", encoding="7bit")
    seal = attachment(plant.random.randbytes(900), protocol, "smime.p7s" if "pkcs7" in protocol else "signature.asc")
    entity = multipart(plant, "signed", [body, seal], f'; protocol="{protocol}"; micalg=sha-256')
    return plant.sample(f"signed {protocol}", mail(plant, entity))


def _smime_opaque(plant: Plant, kind: str) -> Sample:
    entity = Entity(
        (("Content-Type", f'application/pkcs7-mime; smime-type={kind}; name="smime.p7m"'), ("Content-Transfer-Encoding", "base64")),
        encode(plant.random.randbytes(1_200), "base64"),
    )
    return plant.sample(f"s/mime {kind}", mail(plant, entity), "any")


def _pgp_encrypted(plant: Plant) -> Sample:
    armour = (
        b"-----BEGIN PGP MESSAGE-----\r\n\r\n" + encode(plant.random.randbytes(600), "base64") + b"-----END PGP MESSAGE-----\r\n"
    )
    parts = [
        Entity((("Content-Type", "application/pgp-encrypted"),), b"Version: 1\r\n"),
        Entity((("Content-Type", 'application/octet-stream; name="encrypted.asc"'),), armour),
    ]
    return plant.sample(
        "pgp encrypted", mail(plant, multipart(plant, "encrypted", parts, '; protocol="application/pgp-encrypted"')), "any"
    )


def _pgp_inline(plant: Plant) -> Sample:
    content = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nThe key of the archive changed on 4 May. Ask the porter.\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQEzBAEBCAAdFiEE\n-----END PGP SIGNATURE-----\n"
    )
    return plant.sample("pgp inline", mail(plant, text(content, encoding="7bit")))


def _bounce(plant: Plant, returned: str) -> Sample:
    status = (
        f"Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; {plant.other.address}\r\nAction: failed\r\n"
        "Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
    )
    original = header(standard_fields(plant)) + b"\r\nThe first mail.\r\n"
    parts = [
        text(f"Your message to {plant.other.address} could not be delivered: the mailbox does not exist.\n", encoding="7bit"),
        Entity((("Content-Type", "message/delivery-status"),), status.encode()),
        embedded(original)
        if returned == "full"
        else Entity((("Content-Type", "text/rfc822-headers"),), original.partition(b"\r\n\r\n")[0]),
    ]
    entity = multipart(plant, "report", parts, "; report-type=delivery-status")
    content = mail(plant, entity, [("Auto-Submitted", "auto-replied")])
    return plant.sample(f"bounce {returned}", content.replace(f"<{plant.sender.address}>\r\n".encode(), b"<>\r\n", 1))


def _read_receipt(plant: Plant) -> Sample:
    parts = [
        text(f"{plant.sender.name} has read the message.\n", encoding="7bit"),
        Entity(
            (("Content-Type", "message/disposition-notification"),),
            f"Final-Recipient: rfc822;{plant.sender.address}\r\nDisposition: manual-action; displayed\r\n".encode(),
        ),
    ]
    return plant.sample("read receipt", mail(plant, multipart(plant, "report", parts, "; report-type=disposition-notification")))


def _out_of_office(plant: Plant) -> Sample:
    content = f"I am away until 24 August. In urgent cases write to {plant.other.address} or call {plant.phone}.\n"
    return plant.sample("out of office", mail(plant, text(content), [("Auto-Submitted", "auto-replied"), ("X-Autoreply", "yes")]))


def _forwarded(plant: Plant, levels: int) -> Sample:
    inner = mail(plant, text(f"The roof of the hall leaks at the north side. Repair costs 3,400 euros. {plant.phone}\n"))
    for level in range(levels):
        inner = mail(
            plant,
            multipart(plant, "mixed", [text(f"See below, level {level}.\n"), embedded(inner)]),
            subject=f"Fwd: {plant.subject}",
        )
    return plant.sample(f"forwarded {levels}", inner)


def _digest_of_list(plant: Plant) -> Sample:
    posts = [embedded(mail(plant, text(f"{title}. {story}\n"))) for title, story in _STORIES]
    return plant.sample("multipart digest", mail(plant, multipart(plant, "digest", posts), [("List-Id", "<talk.example>")]))


def _apple_mixed(plant: Plant) -> Sample:
    """Text between the attachments, as one client for phones sends it."""
    parts = [
        text("First the plan:\n"),
        attachment(plant.random.randbytes(400), "image/jpeg", "plan.jpg", "inline"),
        text("And here the second floor. The stairs are 90 cm wide.\n"),
        attachment(plant.random.randbytes(400), "image/jpeg", "floor.jpg", "inline"),
        text(f"Sent from my phone, {plant.phone}\n"),
    ]
    return plant.sample("text between attachments", mail(plant, multipart(plant, "mixed", parts)))


def _word_html(plant: Plant) -> Sample:
    markup = (
        '<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style><!-- p.MsoNormal {margin:0cm;} --></style></head><body>'
        f'<p class="MsoNormal">The tender closes on 9 September.<o:p></o:p></p><p class="MsoNormal"><o:p>&nbsp;</o:p></p>'
        f'<p class="MsoNormal">Kind regards<br>{plant.sender.name}<br>{plant.phone}</p><div><b>From:</b> {plant.other.name}<br>'
        f"<b>Subject:</b> {plant.subject}<p>Earlier text that was answered.</p></div></body></html>"
    )
    return plant.sample("word html", mail(plant, text(markup, "html", "windows-1252", "quoted-printable")))


def _of(make: Callable[..., Sample], argument: str | int) -> Callable[[Plant], Sample]:
    return lambda plant: make(plant, argument)


KINDS: tuple[Callable[[Plant], Sample], ...] = (
    newsletter, newsletter_html_only, newsletter_related, _spam, _phishing, _spam_image, *(_of(_thread, style) for style in ("top", "bottom", "inline", "outlook")),
    _flowed, _receipt, _password_reset, _calendar, _of(_signed, "application/pkcs7-signature"), _of(_signed, "application/pgp-signature"),
    _of(_smime_opaque, "signed-data"), _of(_smime_opaque, "enveloped-data"), _pgp_encrypted, _pgp_inline, _of(_bounce, "full"), _of(_bounce, "headers"),
    _read_receipt, _out_of_office, _of(_forwarded, 1), _of(_forwarded, 3), _digest_of_list, _apple_mixed, _word_html,
)  # fmt: skip
