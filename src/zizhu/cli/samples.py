"""The sample vouchers of `zizhu up --samples`: registered, proved and verified offline before anything is claimed.

Decides which sample is of which type. Everything goes the way a user's own files go: the member's service over
HTTP, consensus, a proof, and a verification that asks nobody.
"""

import io
from importlib import resources
from pathlib import Path

from rich.table import Table

from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.model.errors import ErrorCode, OperatingFault
from zizhu.cli.terminal import Terminal
from zizhu.cloud.nodes.network import Network, genesis_path
from zizhu.framework.sdk.http import HttpMember
from zizhu.framework.sdk.keys import known_suite
from zizhu.framework.sdk.proofs import trust_of_genesis
from zizhu.scenarios.credentials.answers import YES
from zizhu.scenarios.credentials.contract import CONTRACT_NAME
from zizhu.scenarios.credentials.desk import Desk
from zizhu.scenarios.credentials.proof import verify_file

SAMPLES = (
    ("电子发票-增值税.xml", "invoice"),
    ("采购合同.txt", "contract"),
    ("签购单.svg", "sales-slip"),
    ("保单-财产保险.json", "policy"),
    ("缴费账单-水费.csv", "payment-bill"),
    ("企业小票-merchant-receipt.pdf", "merchant-receipt"),
    ("certificate-of-deposit.html", "certificate"),
)

NOT_VERIFIED = ErrorCode(
    "up.sample",
    "the sample voucher {name} does not verify: {reason}",
    "this is our fault: please report it with the console logs of the members",
    "示例凭证 {name} 未通过校验:{reason}",
    "这是产品缺陷:请连同各成员的控制台日志一并反馈",
)


def register_and_verify(directory: Path, network: Network, speaker: Terminal) -> None:
    """Register each sample at a member in turn, and show what an offline verification of its proof says.

    Raises OperatingFault (`up.sample`) when one does not verify.
    """
    desk = Desk([(place.name, HttpMember(place.url, language=speaker.language)) for place in network.members])
    contract = genesis_contract_id(known_suite(network.suite), CONTRACT_NAME)
    trust = trust_of_genesis(genesis_path(directory).read_bytes())
    folder = resources.files("zizhu.scenarios.credentials") / "samples"
    # A new ledger promises these types from its first block on; an old one may have had its samples before.
    with speaker.err.status(speaker.say("registering sample vouchers …", "正在登记示例凭证 …")):
        done = []
        for number, (name, type_) in enumerate(SAMPLES):
            at = desk.at(network.members[number % len(network.members)].name)
            with resources.as_file(folder / name) as path:
                done.append((name, desk.register(at, path, type_), at.place.name))
        height = max(found.height for _, found, _ in done)
    table = _table(speaker)
    with speaker.err.status(speaker.say("proving and verifying them …", "正在生成证明并离线校验 …")):
        for name, found, member in done:
            proof = desk.proof(found.voucher.index, contract, height=height)
            answer = verify_file(io.BytesIO((folder / name).read_bytes()), proof, trust)
            if answer.verdict not in YES:
                raise OperatingFault(NOT_VERIFIED, name=name, reason=f"{answer.verdict.value} {answer.reason}")
            mark = f"[green]✓[/] {speaker.say('yes', '是')}"
            voucher = found.voucher
            table.add_row(str(voucher.index), name, voucher.type, member, mark)
    speaker.out.print()
    speaker.out.print(table)
    told = speaker.say(
        f"{len(done)} sample vouchers registered, proved and verified offline (as of height {height} or later)",
        f"{len(done)} 张示例凭证已登记、已生成证明并离线校验(截至高度 {height} 或以后)",
    )
    speaker.out.print(told)


def _table(speaker: Terminal) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    headings = (
        ("voucher", "凭证"),
        ("file", "文件"),
        ("type", "类型"),
        ("custodian", "托管方"),
        ("offline", "离线校验"),
    )
    for english, chinese in headings:
        table.add_column(
            speaker.say(english, chinese), justify="right" if english == "voucher" else "left", no_wrap=True
        )
    return table
