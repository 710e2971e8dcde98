"""Names of files and folders that other programs leave among a user's pictures. A dataset does not contain them.

The rules are about names only, so that no file has to be opened. `folder_entries.py` counts what they match.
"""

import re

HIDDEN = "hidden"
FILE_MANAGER = "of a file manager"
SIDE_FILE = "of a photo program"
STORAGE = "of a storage or operating system"
ARCHIVE = "of an archive or a tool"
UNFINISHED = "temporary or not completely copied"

# (kind, whether it is about folders only or files only, what the whole name matches). The first match counts. Capital
# letters do not matter.
_BOTH, _FOLDERS, _FILES = (True, False), (True,), (False,)
_RULES: tuple[tuple[str, tuple[bool, ...], str], ...] = (
    # Files that a cloud has not downloaded to this machine yet.
    (UNFINISHED, _FILES, r"\..*\.icloud|.*\.(nextcloud|owncloud)"),
    # .DS_Store, ._1.png, .git, .stfolder, .sync, .dropbox.cache, .Trash-1000, .~lock.1.png#, .fuse_hidden0001
    (HIDDEN, _BOTH, r"\..*"),
    (FILE_MANAGER, _FILES, r"(eh)?thumbs(_\w+)?\.db(:.*)?|desktop\.ini|icon\r|picasa\.ini"),
    (FILE_MANAGER, _FILES, r".*\.(lnk|url|webloc|desktop|gdoc|gsheet|gslides)|.*zone\.identifier"),
    (SIDE_FILE, _FILES, r".*\.(xmp|aae|pp3)"),
    # Synology and QNAP: @eaDir, @tmp, @Recycle, @__thumb, #recycle, #snapshot. A class may be called "@" or "#1".
    (STORAGE, _FOLDERS, r"@\w.*|#(recycle|snapshot)"),
    (STORAGE, _FILES, r".*@syno(eastream|resource)|aquota\.(user|group)"),
    (STORAGE, _FOLDERS, r"lost\+found|found\.\d{3}|\$recycle\.bin|system volume information"),
    (STORAGE, _FOLDERS, r"network trash folder|temporary items"),
    (ARCHIVE, _FOLDERS, r"__(macosx|pycache__)"),
    (UNFINISHED, _BOTH, r".*\.(tmp|temp|part|partial|filepart|crdownload|opdownload|download|aria2|!ut|!qb|!sync|bts)"),
    (UNFINISHED, _BOTH, r"~\$.*|~syncthing~.*"),
    (UNFINISHED, _FILES, r".+~|.*\.(bak|swp|swo|orig)|#.+#"),
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
