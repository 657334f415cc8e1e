"""Mail with files: PDFs of every condition, archives, TNEF, and names that try something."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime

import pikepdf
from fpdf import FPDF
from PIL import Image

from tests.mail.mime import Entity, attachment, encode, mail, multipart, text
from tests.mail.planted import Expected, Plant, Sample

_NOTE = "The report is attached. Please send remarks until Friday.\n"


def pdf(plant: Plant, pages: int) -> bytes:
    """A PDF with a title and some lines on every page."""
    document = FPDF()
    document.set_creation_date(datetime(2026, 6, 1, tzinfo=UTC))
    document.set_title(f"Report for {plant.recipient.name}")
    document.set_font("Helvetica", size=11)
    for page in range(1, pages + 1):
        document.add_page()
        for paragraph in (
            f"Chapter {page}. The pump ran {page * 37} hours without a fault. Contact {plant.sender.address}, {plant.phone}.",
            f"Consumption fell by {page + 3} % to {page * 120} kWh. The next service is due in week {page + 20}.",
        ):
            document.multi_cell(0, 7, paragraph, new_x="LMARGIN", new_y="NEXT")
    return bytes(document.output())


def _image_pdf(plant: Plant) -> bytes:
    picture = io.BytesIO()
    Image.frombytes("L", (64, 64), plant.random.randbytes(4096)).save(picture, "PNG")
    document = FPDF()
    document.set_creation_date(datetime(2026, 6, 1, tzinfo=UTC))
    for _ in range(2):
        document.add_page()
        picture.seek(0)
        document.image(picture, x=10, y=10, w=100)
    return bytes(document.output())


def _encrypted_pdf(plant: Plant) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf(plant, 2))) as document:
        # R=3 needs no random salt, so the same seed gives the same bytes.
        document.save(
            out, encryption=pikepdf.Encryption(user=plant.token, owner=plant.token, R=3, aes=False, metadata=False), static_id=True
        )
    return out.getvalue()


def _with_pdf(plant: Plant, kind: str, content: bytes, expected: Expected = "success", alone: bool = False) -> Sample:
    name = f"{plant.word()}-{plant.token[4:12]}.pdf"
    parts = [attachment(content, "application/pdf", name)]
    if not alone:
        parts.insert(0, text(_NOTE))
    return plant.sample(kind, mail(plant, multipart(plant, "mixed", parts)), expected, name)


def _pdf_of(pages: int) -> Callable[[Plant], Sample]:
    return lambda plant: _with_pdf(plant, f"pdf {pages} pages", pdf(plant, pages))


def _pdf_only(plant: Plant) -> Sample:
    name = f"{plant.word()}.pdf"
    return plant.sample("pdf as the whole body", mail(plant, attachment(pdf(plant, 2), "application/pdf", name)))


def _pdf_as_octets(plant: Plant) -> Sample:
    parts = [text(_NOTE), attachment(pdf(plant, 3), "application/octet-stream", f"{plant.word()}.pdf")]
    return plant.sample("pdf as octet-stream", mail(plant, multipart(plant, "mixed", parts)))


def _pdf_encrypted(plant: Plant) -> Sample:
    return _with_pdf(plant, "pdf encrypted beside text", _encrypted_pdf(plant))


def _pdf_encrypted_alone(plant: Plant) -> Sample:
    return _with_pdf(plant, "pdf encrypted alone", _encrypted_pdf(plant), "failed", alone=True)


def _pdf_images(plant: Plant) -> Sample:
    return _with_pdf(plant, "pdf image-only beside text", _image_pdf(plant))


def _pdf_images_alone(plant: Plant) -> Sample:
    return _with_pdf(plant, "pdf image-only alone", _image_pdf(plant), "failed", alone=True)


def _pdf_truncated(plant: Plant) -> Sample:
    whole = pdf(plant, 5)
    return _with_pdf(plant, "pdf truncated", whole[: len(whole) // 2], "failed")


def _pdf_noise(plant: Plant) -> Sample:
    return _with_pdf(plant, "pdf of noise", b"%PDF-1.7\n" + plant.random.randbytes(3_000) + b"\n%%EOF\n", "failed")


def _pdf_wrong_type(plant: Plant) -> Sample:
    """A ZIP that says it is a PDF: a malformed PDF, or an archive to leave alone."""
    return _with_pdf(plant, "zip named pdf", _zip(plant), "any")


def _zip(plant: Plant) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("list.txt"), f"{plant.other.address} {plant.phone}\n" * 20)
        archive.writestr(zipfile.ZipInfo("nothing.bin"), bytes(2_000_000), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _archive(plant: Plant) -> Sample:
    parts = [text(_NOTE), attachment(_zip(plant), "application/zip", f"{plant.word()}.zip")]
    return plant.sample("zip", mail(plant, multipart(plant, "mixed", parts)))


def _only_archive(plant: Plant) -> Sample:
    content = mail(plant, multipart(plant, "mixed", [attachment(_zip(plant), "application/zip", f"{plant.word()}.zip")]))
    return plant.sample("zip alone", content, "any")


def _octets(plant: Plant) -> Sample:
    parts = [text(_NOTE), attachment(plant.random.randbytes(5_000), "application/octet-stream", "data.bin")]
    return plant.sample("octet-stream", mail(plant, multipart(plant, "mixed", parts)))


def _tnef(plant: Plant) -> Sample:
    """winmail.dat: signature, key, and one message-class attribute ([MS-OXTNEF] section 2.1)."""
    value = b"IPM.Note\x00"
    attribute = struct.pack("<BII", 1, 0x00078008, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)
    blob = struct.pack("<IH", 0x223E9F78, 1) + attribute + plant.random.randbytes(200)
    parts = [
        text("The minutes are attached. The next meeting is on 12 May.\n"),
        attachment(blob, "application/ms-tnef", "winmail.dat"),
    ]
    return plant.sample("tnef", mail(plant, multipart(plant, "mixed", parts)))


def _tnef_alone(plant: Plant) -> Sample:
    content = mail(
        plant, attachment(struct.pack("<IH", 0x223E9F78, 1) + plant.random.randbytes(80), "application/ms-tnef", "winmail.dat")
    )
    return plant.sample("tnef alone", content, "any")


def _text_file(plant: Plant) -> Sample:
    rows = "\n".join(f"{number};{plant.other.address};{plant.phone}" for number in range(30))
    parts = [text(_NOTE), attachment(rows.encode(), "text/csv", f"{plant.word()}.csv")]
    return plant.sample("csv", mail(plant, multipart(plant, "mixed", parts)))


def _names(plant: Plant) -> Sample:
    """File names that climb, lie, and go on (RFC 2231 continuations included)."""
    body = encode(b"x" * 40, "base64")
    wanted = (
        'attachment; filename="../../../../etc/passwd"', 'attachment; filename="C:\\\\x\\\\a.exe"', 'attachment; filename=""', "attachment; filename=" + "a" * 3_000,
        "attachment; filename*=utf-8''%E2%82%AC%20" + plant.token, 'attachment; filename*0="one-"; filename*1="two.txt"', 'attachment; filename="a\x00b\x1b[31m.txt"',
        f'attachment; filename="=?utf-8?q?{plant.token}?="',
    )  # fmt: skip
    parts = [
        Entity(
            (("Content-Type", "application/x-unknown"), ("Content-Transfer-Encoding", "base64"), ("Content-Disposition", value)),
            body,
        )
        for value in wanted
    ]
    return plant.sample("file names", mail(plant, multipart(plant, "mixed", [text(_NOTE), *parts])))


def _many(plant: Plant) -> Sample:
    parts = [attachment(plant.random.randbytes(60), "image/png", f"{number}.png") for number in range(1_200)]
    return plant.sample("1,200 attachments", mail(plant, multipart(plant, "mixed", [text(_NOTE), *parts])))


def _large_text(plant: Plant) -> Sample:
    content = "".join(f"Line {number}: the meter shows {number * 13 % 997} units, {plant.word()}.\n" for number in range(20_000))
    return plant.sample("a megabyte of text", mail(plant, text(content, encoding="base64")))


KINDS: tuple[Callable[[Plant], Sample], ...] = (
    _pdf_of(1), _pdf_of(8), _pdf_of(40), _pdf_only, _pdf_as_octets, _pdf_encrypted, _pdf_encrypted_alone, _pdf_images, _pdf_images_alone, _pdf_truncated,
    _pdf_noise, _pdf_wrong_type, _archive, _only_archive, _octets, _tnef, _tnef_alone, _text_file, _names, _many, _large_text,
)  # fmt: skip
