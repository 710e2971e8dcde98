"""Names of files and folders that other programs leave among a user's pictures. A dataset does not contain them.

The rules are about names only, so that no file has to be opened. `folder_entries.py` counts what they match.
"""

import re

HIDDEN = "hidden"
FILE_MANAGER = "of a file manager"
STORAGE = "of a storage or operating system"
ARCHIVE = "of an archive or a tool"
UNFINISHED = "temporary or not completely copied"

# (kind, whether it is about folders only or files only, what the whole name matches). Capital letters do not matter.
_BOTH, _FOLDERS, _FILES = (True, False), (True,), (False,)
_RULES: tuple[tuple[str, tuple[bool, ...], str], ...] = (
    # .DS_Store, ._1.png, .git, .stfolder, .sync, .dropbox.cache, .Trash-1000, .~lock.1.png#, .fuse_hidden0001
    (HIDDEN, _BOTH, r"\..*"),
    (FILE_MANAGER, _FILES, r"(eh)?thumbs(_\w+)?\.db|desktop\.ini|icon\r|picasa\.ini|.*\.(lnk|url|webloc|desktop)"),
    # Synology and QNAP: @eaDir, @tmp, @Recycle, @__thumb, #recycle, #snapshot; a class may be called "@" or "#1"
    (STORAGE, _FOLDERS, r"@\w.*|#(recycle|snapshot)"),
    (STORAGE, _FILES, r".*@syno(eastream|resource)"),
    (STORAGE, _FOLDERS, r"lost\+found|\$recycle\.bin|recycler|system volume information"),
    (STORAGE, _FOLDERS, r"network trash folder|temporary items"),
    (ARCHIVE, _FOLDERS, r"__(macosx|pycache__)"),
    (UNFINISHED, _BOTH, r".*\.(tmp|temp|part|partial|filepart|crdownload|opdownload|download|aria2|!ut|!qb|!sync|bts)"),
    (UNFINISHED, _BOTH, r"~\$.*|~syncthing~.*"),
    (UNFINISHED, _FILES, r".+~|.*\.(bak|swp|swo|orig|rsls|rslc)|#.+#"),
)
_PATTERNS = {
    is_folder: tuple(
        (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for kind, about, pattern in _RULES if is_folder in about
    )
    for is_folder in (True, False)
}


def kind_of_skipped(name: str, is_folder: bool) -> str | None:
    """Return what kind of left-over a name belongs to, in words, or None for a name that belongs to the dataset.

    Args:
        name: of a file or folder, without its path.
        is_folder: whether it is a folder.
    """
    for kind, pattern in _PATTERNS[is_folder]:
        if pattern.fullmatch(name):
            return kind
    return None
