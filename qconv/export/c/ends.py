"""How the sums of a layer become codes: by multipliers, by shifts where those are powers of two, or by their signs (xnor.py)."""

from __future__ import annotations

from typing import Final, Literal

from qconv.export.c.writer import Writer, rescale
from qconv.export.network import Node

Form = Literal["", "shifts", "signs"]
_HALF: Final = 1 << 30  # the mantissa of a power of two
SHIFTED: Final = """
/* round(acc * 2^-shift), halves to even; 1 <= shift <= 30. */
static inline int32_t shifted(int32_t acc, int shift)
{
    const int32_t floored = acc >> shift, rest = acc - floored * ((int32_t)1 << shift), half = (int32_t)1 << (shift - 1);
    return floored + (rest > half || (rest == half && (floored & 1) != 0) ? 1 : 0);
}
"""
_CODES: Final[dict[Form, str]] = {
    "": "(@X_T@)clamp(rescale((int64_t)sum * m[own], shift[own]) + s->y_zero_point, @LOW@, @HIGH@)",
    "shifts": "(@X_T@)clamp(shifted(sum, shift[own]) + s->y_zero_point, @LOW@, @HIGH@)",
    "signs": "(@X_T@)(s->y_zero_point + (sum > 0 ? 1 : -1))",
}
_UNUSED: Final[dict[Form, str]] = {"": "", "shifts": "    (void)m;\n", "signs": "    (void)m;\n    (void)shift;\n"}


def form_of(node: Node) -> Form:
    """How the sums of a layer become codes."""
    if node.attributes.get("signs"):
        return "signs"
    return "shifts" if node.rescales and _shifts(node) is not None else ""


def _shifts(node: Node) -> list[int] | None:
    """The shifts of multipliers that are all 2^-1 to 2^-30; None for others."""
    record = node.rescales[0]
    shifts = [shift - 30 for shift in record.shift]
    return shifts if set(record.m0) == {_HALF} and all(1 <= shift <= 30 for shift in shifts) else None


def suffixed(name: str, form: Form) -> str:
    """The name of a kernel for a form."""
    return f"{name}_{form}" if form else name


def made(writer: Writer, text: str, form: Form) -> str:
    """The text of a kernel for a form, which has no use for some of its arguments."""
    if form == "signs":
        text = "\n".join(line for line in text.split("\n") if "const int32_t own =" not in line)
    if form == "shifts":
        writer.kernels.setdefault("shifted", SHIFTED)
    text = text.replace("@CODE@", _CODES[form]).replace("@FORM@", f"_{form}" if form else "")
    return text.replace("@START@", _UNUSED[form])


def constants(writer: Writer, node: Node) -> tuple[str, str]:
    """The names of multipliers and shifts in C, 0 for those that a form does without."""
    match form_of(node):
        case "signs":
            return "0", "0"
        case "shifts":
            return "0", writer.array(node, "s0", _shifts(node) or [], "uint8")
        case _:
            return rescale(writer, node)


def rescaled(writer: Writer, node: Node, total: str, own: str) -> str:
    """The C expression of round(total M), M being that at `own`."""
    m, s = constants(writer, node)
    if form_of(node) == "shifts":
        writer.kernels.setdefault("shifted", SHIFTED)
        return f"shifted({total}, {s}[{own}])"
    return f"rescale((int64_t){total} * {m}[{own}], {s}[{own}])"
