"""The error codes of storage, and the few lines that raise the commonest of them.

Decides what can go wrong with bytes on a disk and how it is told. Refuses to know who stored them and why.
"""

from pathlib import Path

from zizhu.chain.model.errors import ErrorCode, OperatingFault

DAMAGED = ErrorCode(
    "storage.damaged",
    "{file} is damaged at offset {offset}: {reason}",
    "stop the node, keep the file as evidence, look after the disk, and restore this folder from the other members",
    "{file} 在偏移 {offset} 处已损坏:{reason}",
    "请停止节点,保留该文件作为证据,检查磁盘,并从其他成员恢复该目录",
)
WRITE_FAILED = ErrorCode(
    "storage.write_failed",
    "writing to {file} failed: {reason}",
    "check free space, permissions and the health of the disk, then restart the node",
    "写入 {file} 失败:{reason}",
    "请检查剩余空间、权限和磁盘状态,然后重启节点",
)
SYNC_FAILED = ErrorCode(
    "storage.sync_failed",
    "{file} cannot be made durable: {reason}",
    "the node must stop: what was written may be lost; check the disk, then restart the node",
    "无法将 {file} 持久化:{reason}",
    "节点必须停止:已写入的内容可能丢失;请检查磁盘后重启节点",
)
READ_FAILED = ErrorCode(
    "storage.read_failed",
    "{file} cannot be read: {reason}",
    "check that the file exists, its permissions and the health of the disk",
    "无法读取 {file}:{reason}",
    "请检查文件是否存在、其权限以及磁盘状态",
)
OPEN_FAILED = ErrorCode(
    "storage.open_failed",
    "{file} cannot be opened: {reason}",
    "check that no other process uses the folder, its permissions and the health of the disk",
    "无法打开 {file}:{reason}",
    "请检查该目录是否被其他进程使用、其权限以及磁盘状态",
)
LOCKED = ErrorCode(
    "storage.locked",
    "{folder} is in use by process {pid}",
    "stop process {pid}, or give this node a folder of its own (--dir)",
    "{folder} 正被进程 {pid} 使用",
    "请停止进程 {pid},或用 --dir 为本节点指定独立目录",
)
NEWER_FORMAT = ErrorCode(
    "storage.newer_format",
    "{file} was written in format {found}; this program knows formats up to {known}",
    "use the newer version of zizhu that wrote the folder, or another folder",
    "{file} 的格式版本为 {found};本程序最高支持 {known}",
    "请使用写入该目录的较新版本 zizhu,或换一个目录",
)
FOREIGN_FOLDER = ErrorCode(
    "storage.foreign_folder",
    "{folder} is no folder of the store {store}: {reason}",
    "name the right folder or store in the configuration; an empty folder is always accepted",
    "{folder} 不是存储 {store} 的目录:{reason}",
    "请在配置中指定正确的目录或存储;空目录总是可用的",
)
CLOSED = ErrorCode(
    "storage.closed",
    "{name} has been closed",
    "open it again before using it",
    "{name} 已关闭",
    "请重新打开后再使用",
)
NAME_BAD = ErrorCode(
    "storage.name_bad",
    "{name!r} is no name of a store",
    "use 1 to {most} of a-z, 0-9, '-' and '_', beginning with a letter",
    "{name!r} 不是合法的存储名称",
    "请使用 1 至 {most} 个 a-z、0-9、'-'、'_',且以字母开头",
)
KEY_BAD = ErrorCode(
    "storage.key_bad",
    "a key of {length} bytes; allowed are 1 to {most}",
    "use keys of 1 to {most} bytes",
    "键长 {length} 字节;允许 1 至 {most} 字节",
    "请使用 1 至 {most} 字节的键",
)
VALUE_BAD = ErrorCode(
    "storage.value_bad",
    "a value of {length} bytes; at most {most} are allowed",
    "cut the value into parts of at most {most} bytes",
    "值长 {length} 字节;最多允许 {most} 字节",
    "请将值拆分为最多 {most} 字节的部分",
)
LIMIT_BAD = ErrorCode(
    "storage.limit_bad",
    "a scan limited to {limit} entries",
    "give a limit of 0 or more, or none",
    "扫描上限为 {limit} 条",
    "请给出不小于 0 的上限,或不设上限",
)
RECORD_BAD = ErrorCode(
    "storage.record_bad",
    "a record of {length} bytes; allowed are 1 to {most}",
    "append records of 1 to {most} bytes",
    "记录长 {length} 字节;允许 1 至 {most} 字节",
    "请追加 1 至 {most} 字节的记录",
)
NO_RECORD = ErrorCode(
    "storage.no_record",
    "no record stands at position {position} of {log}; it holds positions from {first} to before {end}",
    "read at a position that append or records returned, and that was not forgotten",
    "{log} 的位置 {position} 处没有记录;其范围为 {first} 至 {end} 之前",
    "请读取 append 或 records 返回且未被清除的位置",
)
SEGMENT_SIZE_BAD = ErrorCode(
    "storage.segment_size_bad",
    "segments of {size} bytes; at least {least} are needed",
    "give a segment size of at least {least} bytes",
    "段大小为 {size} 字节;至少需要 {least} 字节",
    "请设置至少 {least} 字节的段大小",
)
PLACEMENT_BAD = ErrorCode(
    "storage.placement_bad",
    "data class {data_class} cannot be placed in the store {store!r}; it can be placed in: {allowed}",
    "name one of {allowed} for {data_class} in the node's configuration",
    "数据类别 {data_class} 不能放入存储 {store!r};可选:{allowed}",
    "请在节点配置中为 {data_class} 指定以下之一:{allowed}",
)
DATA_CLASS_UNKNOWN = ErrorCode(
    "storage.data_class_unknown",
    "there is no data class {data_class!r}; there are: {allowed}",
    "name only data classes among {allowed}",
    "没有数据类别 {data_class!r};现有:{allowed}",
    "请只使用以下数据类别:{allowed}",
)


def damaged(file: Path, offset: int, reason: str) -> OperatingFault:
    """The fault of bytes that are not what was written: `file`, byte `offset` in it, and what is wrong there."""
    return OperatingFault(DAMAGED, file=str(file), offset=offset, reason=reason)


def failed(code: ErrorCode, file: Path, error: OSError) -> OperatingFault:
    """The fault of an operation that the operating system refused; `code` names file and reason."""
    return OperatingFault(code, file=str(file), reason=error.strerror or type(error).__name__)
