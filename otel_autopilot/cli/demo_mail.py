"""The demo's email: a report with an HTML body and a PDF, as somebody might really send it; and its slow and hostile kin."""

from __future__ import annotations

import textwrap
import time
import zlib
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from textwrap import wrap

from otel_autopilot.cli.demo_pdf import assemble, write_pdf

_HTML = """\
<html><body style="font-family:sans-serif">
<div style="display:none;max-height:0">Your Q3 reliability review is ready</div>
<table role="presentation" width="600"><tr><td>
<h1>Third-quarter reliability review</h1>
<p>Hello all,</p>
<p>the mail platform delivered <b>99.93&nbsp;%</b> of 4.2 million messages within their limit this quarter, up from 99.81&nbsp;%
in the second. The error budget was spent once, on 14 August, when the attachment scanner ran out of memory for 47 minutes.</p>
<h2>What changed</h2>
<ul>
<li>Attachments are now read in separate processes, so one hostile file no longer stops the others.</li>
<li>The median time from arrival to digest fell from 850 ms to 38 ms.</li>
<li>Retries are limited to four per recipient, which cut duplicate deliveries to zero.</li>
</ul>
<h2>Numbers by stage</h2>
<table border="1"><tr><th>Stage</th><th>p50</th><th>p95</th><th>Share</th></tr>
<tr><td>Email</td><td>4 ms</td><td>9 ms</td><td>11 %</td></tr>
<tr><td>Ingestion</td><td>19 ms</td><td>61 ms</td><td>52 %</td></tr>
<tr><td>Digest</td><td>9 ms</td><td>22 ms</td><td>24 %</td></tr>
<tr><td>Delivery</td><td>5 ms</td><td>18 ms</td><td>13 %</td></tr></table>
<p>We propose to raise the delivery objective to 99.95&nbsp;% from 1 January. Please object by <b>12 December</b>;
the <a href="https://example.com/reviews/q3">full review</a> and the <a href="https://example.com/slo/draft">draft objective</a>
are open for comments. The attached report has the details of each incident.</p>
<p>Grace</p>
</td></tr></table>
<p style="font-size:11px">You get this because you own a service. <a href="https://example.com/unsubscribe">Unsubscribe</a></p>
</body></html>
"""

_CHAPTERS = (
    ("Summary", "The platform met three of its four objectives in the third quarter. Delivery stayed above 99.9 % in every week "
     "but one. The cost of a delivered message fell by 18 % because attachments are no longer scanned twice."),
    ("Incident of 14 August", "At 09:12 the attachment scanner began to swap after a customer sent 212 archives that unpacked to "
     "9 GB each. Mail queued for 47 minutes and 31,400 messages were late; none was lost. The scanner now runs in worker "
     "processes with a memory limit of 1 GB, and a message that breaks its worker fails alone."),
    ("Latency", "The slowest five percent of messages carry PDF files above 5 MB. Reading such files page by page in two processes "
     "brought their ingestion from 7.5 seconds down to 1.1 seconds. Queue wait is now reported apart from work, which showed "
     "that a third of the former delay was waiting."),
    ("Cost", "Storage grew to 2.6 TB. Erasing mail content after 30 days will bring it back below 1 TB by the end of the year. "
     "Compute cost 12,400 euros, 3,100 euros less than in the quarter before."),
    ("Risks", "The certificate of the outbound relay expires on 3 February. The contract for the secondary data centre has to be "
     "renewed before 30 November. Two engineers are needed for on-call from January."),
    ("Decisions asked for", "Raise the delivery objective to 99.95 % from 1 January. Approve 18,000 euros for the secondary data "
     "centre. Move the weekly review to Tuesday."),
)  # fmt: skip


def demo_mail() -> bytes:
    """The mail: text and HTML bodies, and a PDF of six pages."""
    pages = [[f"# {number}. {title}", *textwrap.wrap(text, 88)] for number, (title, text) in enumerate(_CHAPTERS, 1)]
    return _mail(
        "Third-quarter reliability review, objections by 12 December", "review-q3.pdf", write_pdf(pages, "Reliability review Q3")
    )


def slow_mail(pages: int = 6_000) -> bytes:
    """The same with a PDF of thousands of pages."""
    texts = [text for _, text in _CHAPTERS]
    leaves = []
    for first in range(len(texts)):
        lines = wrap(" ".join(texts[first:] + texts[:first]), 95)
        leaves.append(lines * (48 // len(lines)))
    book = [[f"# Page {number}", *leaves[number % len(leaves)]] for number in range(1, pages + 1)]
    return _mail("Archive of all incident reports since the beginning", "archive.pdf", write_pdf(book, "Archive"))


def hostile_mail() -> bytes:
    """The same with a PDF whose one page unpacks to gigabytes of nothing."""
    packed = zlib.compress(zlib.compress(bytes(100_000_000)) * 40)
    content = f"<< /Length {len(packed)} /Filter [/FlateDecode /FlateDecode] >>\nstream\n".encode() + packed + b"\nendstream"
    bomb = assemble([
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
        content,
    ])  # fmt: skip
    return _mail("Invoice for your immediate attention, see attachment", "invoice.pdf", bomb)


def _mail(subject: str, name: str, pdf: bytes) -> bytes:
    mail = EmailMessage()
    mail["From"] = "Grace Okafor <grace@example.com>"
    mail["To"] = "Platform Owners <inbox@example.org>"
    mail["Subject"] = subject
    mail["Date"] = formatdate(time.time())
    mail["Message-ID"] = make_msgid(domain="mail.example.com")
    mail["In-Reply-To"] = mail["References"] = "<review-q3-announcement@mail.example.com>"
    mail.set_content("The review of the third quarter is attached.\n\nGrace\n")
    mail.add_alternative(_HTML, subtype="html")
    mail.add_attachment(pdf, maintype="application", subtype="pdf", filename=name)
    return mail.as_bytes(policy=SMTP)
