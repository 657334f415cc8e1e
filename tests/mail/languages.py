"""The same notice in the languages and charsets that mail really comes in."""

from __future__ import annotations

from collections.abc import Callable

from tests.mail.mime import Encoding, mail, multipart, standard_fields, text, word
from tests.mail.planted import Plant, Sample

#: Language -> subject and body. Each is our own text about one delayed delivery.
TEXTS = {
    "english": ("Delivery moved to Thursday", "Your order left our warehouse this morning. The carrier moved the delivery to Thursday, "
                "because the bridge is closed. The price of 148.50 euros stays the same – you don’t have to do anything."),
    "german": ("Lieferung verschiebt sich auf Donnerstag", "Ihre Bestellung hat heute früh unser Lager verlassen. Weil die Brücke "
               "gesperrt ist, kommt sie erst am Donnerstag. Der Preis von 148,50 Euro bleibt gleich. Größere Pakete liefern wir später."),
    "french": ("Livraison reportée à jeudi", "Votre commande a quitté notre entrepôt ce matin. Le pont étant fermé, elle n’arrivera que "
               "jeudi. Le prix de 148,50 euros reste inchangé. Vous n’avez rien à faire de votre côté."),
    "polish": ("Dostawa przesunięta na czwartek", "Państwa zamówienie opuściło dziś rano nasz magazyn. Most jest zamknięty, więc paczka "
               "dotrze w czwartek. Cena 148,50 euro pozostaje bez zmian. Żadne działanie nie jest potrzebne."),
    "turkish": ("Teslimat perşembeye ertelendi", "Siparişiniz bu sabah depomuzdan çıktı. Köprü kapalı olduğu için teslimat perşembe günü "
                "yapılacak. 148,50 avroluk fiyat değişmiyor. Sizin bir şey yapmanıza gerek yok."),
    "greek": ("Η παράδοση μεταφέρεται την Πέμπτη", "Η παραγγελία σας έφυγε σήμερα το πρωί από την αποθήκη μας. Η γέφυρα είναι κλειστή και "
              "η παράδοση θα γίνει την Πέμπτη. Η τιμή των 148,50 ευρώ παραμένει ίδια."),
    "russian": ("Доставка переносится на четверг", "Ваш заказ сегодня утром покинул наш склад. Мост закрыт, поэтому доставка переносится "
                "на четверг. Цена 148,50 евро остаётся прежней. Вам ничего делать не нужно."),
    "hebrew": ("המשלוח נדחה ליום חמישי", "ההזמנה שלך יצאה הבוקר מהמחסן. הגשר סגור ולכן המשלוח יגיע ביום חמישי. המחיר נשאר 148.50 אירו."),
    "arabic": ("تأجيل التسليم إلى يوم الخميس", "غادر طلبكم مستودعنا هذا الصباح. الجسر مغلق ولذلك يصل الطلب يوم الخميس. السعر 148.50 يورو دون تغيير."),
    "thai": ("เลื่อนการจัดส่งเป็นวันพฤหัสบดี", "คำสั่งซื้อของคุณออกจากคลังสินค้าเมื่อเช้านี้ สะพานปิด จึงจัดส่งในวันพฤหัสบดี ราคา 148.50 ยูโรเท่าเดิม"),
    "chinese": ("送货改到星期四", "您的订单今天早上已离开我们的仓库。由于大桥关闭，送货改到星期四。价格仍为148.50欧元。您不需要做任何事情。"),
    "taiwanese": ("送貨改到星期四", "您的訂單今天早上已離開我們的倉庫。由於大橋關閉，送貨改到星期四。價格仍為148.50歐元。您不需要做任何事情。"),
    "japanese": ("お届けは木曜日に変更", "ご注文の品は今朝、倉庫を出ました。橋が通行止めのため、お届けは木曜日になります。価格は変わりません。お手続きは不要です。"),
    "korean": ("배송이 목요일로 변경되었습니다", "주문하신 상품이 오늘 아침 창고에서 출발했습니다. 다리가 통제되어 배송이 목요일로 미뤄졌습니다. 가격은 그대로입니다."),
}  # fmt: skip

#: Language, charset, transfer encoding, and the charset's name in the mail where it differs from the true one.
_COMBINATIONS: tuple[tuple[str, str, Encoding, str], ...] = (
    ("english", "us-ascii", "7bit", ""), ("english", "windows-1252", "quoted-printable", ""), ("english", "windows-1252", "8bit", "iso-8859-1"),
    ("english", "utf-16", "base64", ""), ("english", "utf-7", "7bit", ""),
    ("german", "iso-8859-1", "8bit", ""), ("german", "iso-8859-15", "quoted-printable", ""), ("german", "utf-8", "8bit", "us-ascii"),
    ("french", "windows-1252", "base64", ""), ("french", "mac-roman", "quoted-printable", "macintosh"), ("french", "utf-8", "8bit", ""),
    ("polish", "iso-8859-2", "quoted-printable", ""), ("polish", "windows-1250", "8bit", ""),
    ("turkish", "iso-8859-9", "8bit", ""), ("turkish", "windows-1254", "base64", ""),
    ("greek", "iso-8859-7", "quoted-printable", ""), ("russian", "koi8-r", "8bit", ""), ("russian", "windows-1251", "8bit", ""),
    ("russian", "windows-1251", "base64", "cp1251"), ("russian", "iso-8859-5", "quoted-printable", ""), ("hebrew", "iso-8859-8", "base64", "iso-8859-8-i"),
    ("hebrew", "windows-1255", "8bit", ""), ("arabic", "windows-1256", "8bit", ""), ("arabic", "utf-8", "base64", "UTF8"),
    ("thai", "tis-620", "8bit", ""), ("chinese", "gb2312", "8bit", ""), ("chinese", "gbk", "quoted-printable", "gb2312"),
    ("chinese", "gb18030", "base64", ""), ("taiwanese", "big5", "8bit", ""), ("taiwanese", "utf-8", "quoted-printable", ""),
    ("japanese", "iso-2022-jp", "7bit", ""), ("japanese", "shift_jis", "8bit", ""), ("japanese", "euc-jp", "base64", ""),
    ("korean", "euc-kr", "8bit", ""), ("korean", "utf-8", "base64", "ks_c_5601-1987"),
)  # fmt: skip


def _notice(language: str, charset: str, encoding: Encoding, named: str) -> Callable[[Plant], Sample]:
    def make(plant: Plant) -> Sample:
        title, sentences = TEXTS[language]
        subject = f"{title} {plant.subject}"
        content = f"{sentences}\n\n{plant.sender.name}, {plant.phone}\n{plant.link}\n"
        plain = text(content, "plain", charset, encoding)
        markup = (
            f"<html><body><h1>{title}</h1><p>{sentences}</p><p><a href='{plant.link}'>{plant.sender.name}</a></p></body></html>"
        )
        rich = text(markup, "html", charset, encoding)
        both = multipart(plant, "alternative", [plain, rich])
        kind = f"notice {language} {charset} {encoding}"
        known = (
            charset
            if charset in ("utf-8", "us-ascii", "iso-2022-jp", "gb2312", "big5", "euc-kr", "shift_jis", "koi8-r")
            else "utf-8"
        )
        encoded = word(subject, "utf-8" if known == "us-ascii" else known) if language != "english" else subject
        content_bytes = mail(plant, both if plant.number % 3 else plain, subject=encoded)
        if named:
            content_bytes = content_bytes.replace(f'charset="{charset}"'.encode(), f'charset="{named}"'.encode())
        return plant.sample(kind, content_bytes, "success", subject)

    return make


def _raw_eight_bit_subject(plant: Plant) -> Sample:
    """A header in windows-1251 without any encoding, as old mailers send."""
    title, sentences = TEXTS["russian"]
    fields = [
        (name, value if name != "Subject" else f"{title} {plant.subject}".encode("cp1251"))
        for name, value in standard_fields(plant)
    ]
    body = text(f"{sentences}\n{plant.phone}\n", "plain", "windows-1251", "8bit")
    content = b"".join(
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) + b"\r\n" for name, value in fields
    )
    return plant.sample("8-bit header", content + body.render(), "success", f"{title} {plant.subject}")


KINDS: tuple[Callable[[Plant], Sample], ...] = (*(_notice(*combination) for combination in _COMBINATIONS), _raw_eight_bit_subject)
