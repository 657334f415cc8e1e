"""A small PDF writer (ISO 32000-1, section 7): pages of Helvetica, nothing else. It spares the demo a dependency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_HEADER = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"


def write_pdf(pages: Iterable[Sequence[str]], title: str = "") -> bytes:
    """A PDF with one page for each list of lines; lines that begin with ``# `` are set large."""
    contents = [_page(lines) for lines in pages]
    first = 5
    kids = " ".join(f"{first + 2 * index} 0 R" for index in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title (" + _escape(title) + b") >>",
    ]
    for index, content in enumerate(contents):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {first + 2 * index + 1} 0 R >>".encode()
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")
    return assemble(objects, info=4)


def assemble(objects: Sequence[bytes], info: int | None = None) -> bytes:
    """The file of numbered objects (from 1; object 1 is the catalog) with its cross-reference table and trailer."""
    out = bytearray(_HEADER)
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010d} 00000 n \n".encode() for offset in offsets)
    more = f" /Info {info} 0 R" if info else ""
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R{more} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def _page(lines: Sequence[str]) -> bytes:
    out = [b"BT /F1 11 Tf 15 TL 56 786 Td"]
    for line in lines:
        if line.startswith("# "):
            out.append(b"/F1 17 Tf (" + _escape(line[2:]) + b") Tj T* /F1 11 Tf T*")
        else:
            out.append(b"(" + _escape(line) + b") Tj T*")
    out.append(b"ET")
    return b"\n".join(out)


def _escape(text: str) -> bytes:
    return text.encode("cp1252", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
