"""`zizhu voucher`: register, look up, transfer, replace, revoke, prove, verify and fetch vouchers.

Decides arguments and exit codes: 0 yes, 1 no (or the machine underneath failed), 2 asked wrongly. Refuses to know how
it is done: `scenarios.credentials` does it, and no private key ever comes near this program.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from zizhu.chain.consensus.certificate import Strength
from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault, ZizhuError
from zizhu.chain.storage.atomic_file import write_atomic_file
from zizhu.cli import voucher_texts as texts
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, Terminal, exit_code, terminal
from zizhu.cloud.nodes.network import genesis_path, read_network
from zizhu.framework.sdk.http import HttpMember
from zizhu.framework.sdk.keys import known_suite
from zizhu.framework.sdk.proofs import Trust, trust_of_genesis, trust_of_id
from zizhu.scenarios.credentials.answers import Answer, iso_moment, moment
from zizhu.scenarios.credentials.contract import CONTRACT_NAME, DEFAULT_TYPE, kind_name
from zizhu.scenarios.credentials.desk import Desk, Serving, opened
from zizhu.scenarios.credentials.proof import check_voucher_proof, verify_file
from zizhu.scenarios.credentials.replies import act_reply, answer_reply, voucher_reply
from zizhu.scenarios.credentials.service import NOT_HOSTED

app = typer.Typer(
    help="Register, prove and verify vouchers · 登记、证明、校验凭证", no_args_is_help=True, add_completion=False
)

PROOF_BYTES_MAX = 64 * 1024 * 1024

NO_TRUST = ErrorCode(
    "voucher.no_trust",
    "a proof proves nothing by itself, and no ledger is trusted here: {path} does not exist",
    "name the network's folder with --dir, or the id of the ledger you trust with --trust LEDGER_ID",
    "证明本身不能证明自己,而此处没有受信任的账本:{path} 不存在",
    "请用 --dir 指定网络文件夹,或用 --trust 指定您信任的账本标识",
)
NO_FILES = ErrorCode(
    "voucher.no_files",
    "there is no file in {path}",
    "name files, or folders that hold some",
    "{path} 中没有文件",
    "请给出文件,或含有文件的文件夹",
)
WHAT_TO_VERIFY = ErrorCode(
    "voucher.what_to_verify",
    "it is not clear what to verify",
    "give FILE, or FILE PROOF, or --index INDEX alone",
    "不清楚要校验什么",
    "请给出 FILE、FILE PROOF,或只给出 --index INDEX",
)
ONLY_WITH_PROOF = ErrorCode(
    "voucher.only_with_proof",
    "--trust and --strength say what a proof must have, and no proof is given",
    "give FILE PROOF, or leave the options out: without a proof several members are asked",
    "--trust 与 --strength 是对证明的要求,而此处没有给出证明",
    "请给出 FILE PROOF,或去掉这些选项:没有证明时将询问多个成员",
)
BAD_OUT = ErrorCode(
    "voucher.out",
    "{path} cannot be written: {reason}",
    "name a file in a folder that exists and is yours",
    "无法写入 {path}:{reason}",
    "请指定已存在且可写的文件夹中的文件",
)
BAD_INDEX = ErrorCode(
    "voucher.index",
    "{found} is no index",
    "an index is a number from 1",
    "{found} 不是索引",
    "索引是从 1 开始的整数",
)

BAD_TAKER = ErrorCode(
    "voucher.taker",
    "{found} is neither an account nor a member that answers",
    "give an account as 40 hexadecimal digits, or a member that `zizhu status` shows as running",
    "{found} 既不是账户,也不是正在应答的成员",
    "请给出 40 位十六进制的账户,或 `zizhu status` 显示为运行中的成员",
)
_ACCOUNT = re.compile("[0-9a-fA-F]{40}")

Index = Annotated[int, typer.Argument(min=1, max=(1 << 53) - 1, help="Index of the voucher · 凭证索引")]
Out = Annotated[Path, typer.Option("--out", help="File to write · 输出文件")]
Member = Annotated[str | None, typer.Option("--member", help="Ask this member · 指定成员")]


@contextmanager
def _speaking(language: str, *, as_json: bool) -> Iterator[Terminal]:
    """The terminal of a command, which shows errors with code, cause and fix, and ends with the exit code."""
    speaker = terminal(language, as_json=as_json)
    try:
        yield speaker
    except ZizhuError as error:
        speaker.fail(error)


def _desk(directory: Path, speaker: Terminal) -> Desk:
    network = read_network(directory)
    return Desk([(place.name, HttpMember(place.url, language=speaker.language)) for place in network.members])


def _contract(directory: Path) -> bytes:
    """The id of the voucher contract, which the network's suite and the contract's name give."""
    return genesis_contract_id(known_suite(read_network(directory).suite), CONTRACT_NAME)


@app.command()
def register(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders · 文件与文件夹")],
    type_: Annotated[str, typer.Option("--type", help="Type of voucher · 凭证类型")] = DEFAULT_TYPE,
    member: Member = None,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Register files: their digests go to the ledger, the files to the member. · 登记文件"""
    with _speaking(language, as_json=as_json) as speaker:
        files = list(_files(paths, speaker))
        desk = _desk(directory, speaker)
        at = desk.at(member)
        at.algorithm(type_)
        code = _register_all(desk, None if member is None else at, files, type_, speaker)
    raise typer.Exit(code)


def _register_all(desk: Desk, wanted: Serving | None, files: list[Path], type_: str, speaker: Terminal) -> int:
    """Registers in order, at the member that is wanted or at whichever answers; a file that fails is told, and the
    others go on. The worst exit code."""
    code = 0
    with _progress(files, speaker) as advance:
        for path in files:
            try:
                if wanted is None:
                    at, done = desk.register_somewhere(path, type_, progress=advance)
                else:
                    at, done = wanted, desk.register(wanted, path, type_, progress=advance)
            except ZizhuError as error:
                code = max(code, _tell(error, path, speaker))
                continue
            line = texts.registered_line(path, done, at.place.name)
            speaker.emit(line, texts.registered_text(path, done, at.place.name, speaker.language))
    return code


def _tell(error: ZizhuError, path: Path, speaker: Terminal) -> int:
    """Shows an error that ends one file of several; its exit code."""
    if speaker.as_json:
        speaker.emit(texts.error_line(path, error, speaker.language), "")
        return exit_code(error)
    speaker.err.print(f"[bold]{escape(str(path))}[/]")
    try:
        speaker.fail(error)
    except typer.Exit as ended:
        return ended.exit_code


@contextmanager
def _progress(files: list[Path], speaker: Terminal) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while something long goes on, when there is a person to see it."""
    console = speaker.err
    total = 2 * sum(path.stat().st_size for path in files if path.is_file())
    if not console.is_terminal or speaker.as_json:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(texts.words("working", speaker.language), total=total)
        yield lambda size: progress.update(task, advance=size)


def _files(paths: list[Path], speaker: Terminal) -> Iterator[Path]:
    """The files that are meant, in order; a folder's in byte order of their paths, links skipped with a word.

    Raises AskedWrongly (`voucher.unreadable`, `voucher.no_files`).
    """
    for path in paths:
        if not os.path.isdir(path):  # a name too long for the system is no folder; `opened` says so
            opened(path).close()
            yield path
            continue
        found = sorted(_inside(path, speaker), key=os.fsencode)
        if not found:
            raise AskedWrongly(NO_FILES, path=path)
        yield from found


def _inside(folder: Path, speaker: Terminal) -> Iterator[Path]:
    for above, names, files in os.walk(folder):
        for name in [*names, *files]:
            path = Path(above) / name
            if path.is_symlink():
                speaker.err.print(texts.words("link", speaker.language, path=path), markup=False)
            elif name in files and not path.is_file():
                speaker.err.print(texts.words("special", speaker.language, path=path), markup=False)
            elif name in files:
                yield path


@app.command()
def show(
    index: Index, directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = ""
) -> None:
    """Show a voucher. · 查看凭证"""
    with _speaking(language, as_json=as_json) as speaker:
        desk = _desk(directory, speaker)
        found = desk.reader.show(index)
        voucher = voucher_reply(found.value, _contract(directory))
        issuer = texts.account_text(voucher.issuer, desk.name_of(voucher.issuer))
        holder = texts.account_text(voucher.holder, desk.name_of(voucher.holder))
        text = texts.voucher_text(voucher, issuer, holder, speaker.language)
        as_of = texts.words("as_of", speaker.language, height=found.height, when=moment(found.time_ms))
        speaker.emit(texts.voucher_line(voucher) | {"as_of_height": found.height}, f"{text}\n  [dim]{as_of}[/]")


@app.command(name="list")
def list_(
    after: Annotated[int, typer.Option(min=0, help="Go on behind this index · 起始索引")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many · 最多条数")] = 1000,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """List vouchers in the order of their indexes. · 列出凭证"""
    with _speaking(language, as_json=as_json) as speaker:
        desk, contract = _desk(directory, speaker), _contract(directory)
        while limit > 0:
            page = desk.reader.page(after=after, limit=min(20, limit)).value
            for record in page:
                voucher = voucher_reply(record, contract)
                speaker.emit(texts.voucher_line(voucher), texts.short_text(voucher, speaker.language))
            if len(page) < 20:
                return
            after, limit = page[-1].index, limit - len(page)


@app.command()
def types(directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = "") -> None:
    """List the types of voucher and the algorithms agreed for them. · 列出凭证类型"""
    with _speaking(language, as_json=as_json) as speaker:
        for type_, algorithm in _desk(directory, speaker).reader.types().items():
            name = kind_name(type_, speaker.language)
            speaker.emit(
                {"type": type_, "algorithm": algorithm, "name": name}, f"{type_:<18}{algorithm:<8}{escape(name)}"
            )


@app.command()
def history(
    index: Index, directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = ""
) -> None:
    """Show everything that happened to a voucher, in order. · 查看流转记录"""
    with _speaking(language, as_json=as_json) as speaker:
        desk, after = _desk(directory, speaker), 0
        while page := desk.reader.history(index, after=after).value:
            for act in page:
                told = act_reply(act)
                actor = texts.account_text(told.actor, desk.name_of(told.actor))
                line: dict[str, object] = msgspec.to_builtins(told)
                line = {"index": index} | line | {"time": iso_moment(act.time_ms)}
                speaker.emit(line, texts.act_text(told, actor, speaker.language))
            after = page[-1].number


@app.command()
def transfer(
    index: Index,
    to: Annotated[str, typer.Option("--to", help="Account (40 hex digits) or member · 账户或成员")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Give a voucher to another account, as its holder. · 转让凭证"""
    with _speaking(language, as_json=as_json) as speaker:
        desk = _desk(directory, speaker)
        if _ACCOUNT.fullmatch(to) is None and to not in [one.place.name for one in desk.serving()]:
            desk.reader.show(index)  # an index that nobody has is said first
            raise AskedWrongly(BAD_TAKER, found=to[:40])
        done = desk.transfer(index, to)
        holder = texts.account_text(done.voucher.holder, desk.name_of(done.voucher.holder))
        text = texts.words("transferred", speaker.language, index=index, holder=holder)
        speaker.emit(texts.voucher_line(done.voucher), text)


@app.command()
def replace(
    index: Index,
    path: Annotated[Path, typer.Argument(help="The new file · 新文件")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Put another file in the place of a voucher's, as its issuer. · 换发凭证"""
    with _speaking(language, as_json=as_json) as speaker:
        opened(path).close()
        with _progress([path], speaker) as advance:
            done = _desk(directory, speaker).replace(index, path, progress=advance)
        text = texts.words("reissued", speaker.language, index=index, digest=done.voucher.digest)
        speaker.emit(texts.voucher_line(done.voucher, path=path), text)


@app.command()
def revoke(
    index: Index,
    reason: Annotated[str, typer.Option("--reason", help="Why, in 1 to 200 characters · 撤销理由")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Declare a voucher void, as its issuer. · 撤销凭证"""
    with _speaking(language, as_json=as_json) as speaker:
        done = _desk(directory, speaker).revoke(index, reason)
        text = texts.words("voided", speaker.language, index=index, reason=escape(reason))
        speaker.emit(texts.voucher_line(done.voucher), text)


@app.command()
def proof(
    what: Annotated[str, typer.Argument(metavar="FILE|INDEX", help="A registered file, or an index · 文件或索引")],
    out: Out,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Write a proof that anyone verifies offline. · 生成可离线校验的证明"""
    with _speaking(language, as_json=as_json) as speaker:
        desk = _desk(directory, speaker)
        found = desk.reader.show(_index(what)) if what.isascii() and what.isdigit() else desk.find_file(Path(what))
        index = found.value.index
        data = desk.proof(index, _contract(directory), height=found.height)
        # A member may be wrong or lie: what is handed to others has been checked here.
        height = check_voucher_proof(data, _trust(directory, None, None), index)
        _write(out, data)
        line = voucher_reply(found.value, _contract(directory))
        told = texts.voucher_line(line) | {"proof": str(out), "bytes": len(data), "as_of_height": height}
        path = escape(str(out))
        speaker.emit(
            told, texts.words("proved", speaker.language, index=index, height=height, path=path, size=len(data))
        )


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="The file · 文件")] = None,
    proof_path: Annotated[
        Path | None, typer.Argument(metavar="PROOF", help="Its proof, for offline · 证明文件")
    ] = None,
    index: Annotated[int | None, typer.Option("--index", min=1, help="What its custodian keeps · 校验托管文件")] = None,
    trust: Annotated[str | None, typer.Option("--trust", help="Id of the ledger you trust · 受信任的账本标识")] = None,
    strength: Annotated[
        Strength | None, typer.Option("--strength", help="What the proof must have · 要求的强度")
    ] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Verify a file: with PROOF offline, else by asking several members; --index: what a custodian keeps. · 校验文件"""
    with _speaking(language, as_json=as_json) as speaker:
        if (file is None) == (index is None) or (proof_path is not None and index is not None):
            raise AskedWrongly(WHAT_TO_VERIFY)
        if proof_path is None and (trust is not None or strength is not None):
            raise AskedWrongly(ONLY_WITH_PROOF)
        if file is not None and proof_path is not None:
            trusted = _trust(directory, trust, strength)
            answer = _offline(file, proof_path, trusted)
        elif file is not None:
            answer = _desk(directory, speaker).verify_file(file)
        else:
            assert index is not None, "one of the two was given"
            answer = _hosted(_desk(directory, speaker), index)
        code = _say(answer, file, directory, speaker)
    raise typer.Exit(code)


@app.command()
def fetch(
    index: Index,
    out: Out,
    member: Member = None,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Fetch the file of a voucher; it is kept only if it is the one on the ledger. · 取回凭证文件"""
    with _speaking(language, as_json=as_json) as speaker:
        desk = _desk(directory, speaker)
        place = (desk.custodian(index) if member is None else desk.at(member)).place
        draft = out.with_name(f".{out.name}.part")
        try:
            try:
                with draft.open("wb") as sink:
                    digests = desk.fetch(place, index, sink)
                if digests is None and member is not None:
                    raise AskedWrongly(NOT_HOSTED, index=index)
                answer = desk.verify_fetched(index, digests, custodian=place.name)
                if answer.is_yes:
                    draft.replace(out)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise AskedWrongly(BAD_OUT, path=out, reason=error.strerror) from None
        if answer.is_yes and not as_json:
            size = out.stat().st_size
            speaker.out.print(texts.words("fetched", speaker.language, index=index, path=escape(str(out)), size=size))
        code = _say(answer, out if answer.is_yes else None, directory, speaker)
        if code and not as_json:
            speaker.err.print(texts.words("discarded", speaker.language))
    raise typer.Exit(code)


def _say(answer: Answer, path: Path | None, directory: Path, speaker: Terminal) -> int:
    """Shows an answer; its exit code."""
    code = 0 if answer.is_yes else 1
    # Where a proof is trusted by its ledger's id alone, there need be no network's folder.
    contract = answer.contract if answer.record is None or answer.contract else _contract(directory)
    reply = answer_reply(answer, contract, speaker.language)
    speaker.emit(texts.answer_line(reply, path=path, exit_code=code), texts.answer_text(answer, speaker.language))
    return code


def _offline(file: Path, proof_path: Path, trusted: Trust) -> Answer:
    """Needs no node, no network and no account."""
    with opened(proof_path) as stream:
        data = stream.read(PROOF_BYTES_MAX)
    with opened(file) as stream:
        return verify_file(stream, data, trusted)


def _hosted(desk: Desk, index: int) -> Answer:
    """The custodian's file against the word of the others."""
    place = desk.custodian(index).place
    with open(os.devnull, "wb") as nowhere:
        digests = desk.fetch(place, index, nowhere)
    return desk.verify_fetched(index, digests, custodian=place.name)


def _trust(directory: Path, told: str | None, strength: Strength | None) -> Trust:
    """Whom to believe: the ledger that was named, or the one whose genesis lies in the folder.

    Raises AskedWrongly (`voucher.no_trust`, `sdk.ledger_id`), and what a bad genesis file raises.
    """
    if told is not None:
        return trust_of_id(told, strength or Strength.BYZANTINE)
    path = genesis_path(directory)
    if not path.is_file():
        raise AskedWrongly(NO_TRUST, path=path)
    with opened(path) as stream:
        found = trust_of_genesis(stream.read())
    return Trust(found.ledger, strength or found.strength)


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomic_file(path, data)
    except OperatingFault as error:
        raise AskedWrongly(BAD_OUT, path=path, reason=error.values.get("reason", "")) from error


def _index(text: str) -> int:
    index = int(text) if len(text) <= 16 else 0
    if not 1 <= index < 1 << 53:
        raise AskedWrongly(BAD_INDEX, found=text[:40])
    return index
