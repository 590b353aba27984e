"""The words of `zizhu voucher`: one table, both languages, and how vouchers are shown to people and to programs.

Decides texts and the JSON of a line. Refuses to know where the values come from.
"""

from pathlib import Path

import msgspec
from rich.markup import escape

from zizhu.chain.model.errors import ZizhuError
from zizhu.cli.terminal import labelled, padded
from zizhu.scenarios.credentials.answers import Answer, explanation, headline, iso_moment, moment
from zizhu.scenarios.credentials.contract import kind_name
from zizhu.scenarios.credentials.replies import ActReply, AnswerReply, VoucherAsOf, VoucherReply

TEXTS: dict[str, tuple[str, str]] = {
    "registered": ("registered as voucher {index}", "已登记,索引 {index}"),
    "again": ("is voucher {index} already", "此前已登记,索引 {index}"),
    "first": ("another issuer registered it first, as voucher {first}", "另一签发人更早登记,索引 {first}"),
    "hosted": ("hosted on {copies} member ({member})", "由 {copies} 个成员托管({member})"),
    "link": ("skipped, it is a link: {path}", "已跳过链接:{path}"),
    "special": ("skipped, it is no file: {path}", "已跳过(不是普通文件):{path}"),
    "empty": ("no file in {path}", "{path} 中没有文件"),
    "working": ("registering", "登记中"),
    "type": ("type", "类型"),
    "state": ("state", "状态"),
    "digest": ("digest", "摘要"),
    "issuer": ("issuer", "签发人"),
    "holder": ("holder", "持有人"),
    "time": ("registered", "登记时间"),
    "transaction": ("transaction", "交易"),
    "height": ("height", "高度"),
    "authentic": ("authentic", "真实"),
    "revoked": ("revoked", "已撤销"),
    "replaced": ("replaced {when}", "{when} 换发前"),
    "as_of": ("as of height {height}, {when}", "截至高度 {height},{when}"),
    "transferred": ("voucher {index} is now held by {holder}", "凭证 {index} 现由 {holder} 持有"),
    "reissued": ("voucher {index} has a new file, digest {digest}", "凭证 {index} 已换发,新摘要 {digest}"),
    "voided": ("voucher {index} is revoked: {reason}", "凭证 {index} 已撤销:{reason}"),
    "proved": (
        "proof of voucher {index} as of height {height} written to {path} ({size} bytes)",
        "凭证 {index} 截至高度 {height} 的证明已写入 {path}({size} 字节)",
    ),
    "fetched": (
        "file of voucher {index} written to {path} ({size} bytes)",
        "凭证 {index} 的文件已写入 {path}({size} 字节)",
    ),
    "discarded": ("nothing was written", "未写入任何文件"),
    "act.register": ("registered", "登记"),
    "act.transfer": ("transferred to {taker}", "转让给 {taker}"),
    "act.replace": ("replaced by digest {new}", "换发为摘要 {new}"),
    "act.revoke": ("revoked: {reason}", "撤销:{reason}"),
    "by": ("by {actor} · height {height}", "操作人 {actor} · 高度 {height}"),
}
"""Key → (English, Chinese)."""


KIND_CELLS = 18
STATE_CELLS = 9
"""Widths of the columns of a list, in cells of a terminal."""


def words(key: str, language: str, **values: object) -> str:
    """The text of a key."""
    return TEXTS[key][language == "zh"].format(**values)


def voucher_line(voucher: VoucherReply, *, path: Path | None = None) -> dict[str, object]:
    """A voucher as one JSON object: of a file at `path` when there is one."""
    line: dict[str, object] = {} if path is None else {"path": str(path)}
    told: dict[str, object] = msgspec.to_builtins(voucher)
    for key in ("index", "digest", "algorithm", "issuer", "holder", "type", "transaction", "height"):
        line[key] = told.pop(key)
    line["time"] = iso_moment(voucher.time_ms)
    return line | told


def registered_line(path: Path, done: VoucherAsOf, member: str) -> dict[str, object]:
    """A registration as one JSON object."""
    return voucher_line(done.voucher, path=path) | {
        "created": done.created,
        "copies": done.copies,
        "hosted_on": [member],
    }


def registered_text(path: Path, done: VoucherAsOf, member: str, language: str) -> str:
    """A registration for people."""
    key = "registered" if done.created else "again"
    index = words(key, language, index=done.voucher.index)
    hosted = words("hosted", language, copies=done.copies, member=member)
    lines = [
        f"[bold]{escape(str(path))}[/]  {index}",
        f"  [dim]{done.voucher.algorithm}[/] {done.voucher.digest}",
        f"  [dim]{kind_name(done.voucher.type, language)} · {hosted} · {moment(done.voucher.time_ms)}[/]",
    ]
    if done.created and done.voucher.first is not None:
        lines.append("  " + words("first", language, first=done.voucher.first))
    return "\n".join(lines)


def error_line(path: Path, error: ZizhuError, language: str) -> dict[str, object]:
    """An error that ends one file of several, as one JSON object."""
    shown = {"code": error.code.code, "cause": error.cause(language), "fix": error.fix(language)}
    return {"path": str(path), "error": shown}


def account_text(account: str, name: str) -> str:
    """An account, and the member that signs as it."""
    return f"{account} ({escape(name)})" if name else account


def voucher_text(voucher: VoucherReply, issuer: str, holder: str, language: str) -> str:
    """A voucher for people; `issuer` and `holder` are ready to be shown."""
    rows = [
        ("type", kind_name(voucher.type, language)),
        ("state", words(voucher.state, language)),
        ("digest", f"{voucher.digest} ({voucher.algorithm})"),
        ("issuer", issuer),
        ("holder", holder),
        ("time", moment(voucher.time_ms)),
        ("height", str(voucher.height)),
        ("transaction", voucher.transaction),
    ]
    labels = [(words(key, language), escape(text)) for key, text in rows]
    lines = [f"[bold]{voucher.index}[/]", *labelled(labels, indent="  ")]
    for old in voucher.replaced:
        lines.append(f"  [dim]{words('replaced', language, when=moment(old.time_ms))}[/]  {old.digest}")
    if voucher.revoked is not None:
        lines.append(f"  [dim]{words('revoked', language)}[/]  {escape(voucher.revoked.reason)}")
    if voucher.first is not None:
        lines.append("  " + words("first", language, first=voucher.first))
    return "\n".join(lines)


def short_text(voucher: VoucherReply, language: str) -> str:
    """A voucher on one line, for lists."""
    state = words(voucher.state, language)
    kind = kind_name(voucher.type, language)
    columns = f"{moment(voucher.time_ms)}  {padded(kind, KIND_CELLS)}  {padded(state, STATE_CELLS)}"
    return f"[bold]{voucher.index:>6}[/]  {columns}  [dim]{voucher.digest[:12]}…[/]"


def act_text(act: ActReply, actor: str, language: str) -> str:
    """An act for people."""
    done = words(f"act.{act.action}", language, taker=act.taker, new=act.new, reason=act.reason)
    by = words("by", language, actor=actor, height=act.height)
    return f"{act.number:>4}  {moment(act.time_ms)}  {escape(done)}\n      [dim]{by}[/]"


def answer_text(answer: Answer, language: str) -> str:
    """An answer for people."""
    colour = "green" if answer.is_yes else "red"
    lines = [f"[bold {colour}]{headline(answer, language)}[/]"]
    return "\n".join([*lines, *(f"  {escape(line)}" for line in explanation(answer, language))])


def answer_line(reply: AnswerReply, *, path: Path | None, exit_code: int) -> dict[str, object]:
    """An answer as one JSON object."""
    told: dict[str, object] = msgspec.to_builtins(reply)
    found: dict[str, object] = {} if path is None else {"path": str(path)}
    return found | told | {"time": iso_moment(reply.time_ms) if reply.time_ms else "", "exit": exit_code}
