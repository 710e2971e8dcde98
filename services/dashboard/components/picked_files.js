// What the user chose or dropped for an upload: a zip file, or a folder with its files.

const SKIPPED = /^\.|^__macosx$|^(thumbs\.db|desktop\.ini)$/i; // left-overs of file managers, which the server skips too

/**
 * @typedef {Object} Picked
 * @property {string} title the name of the zip file or of the folder.
 * @property {File|null} zip the zip file, if it is one.
 * @property {{path: string, file: File}[]} files of the folder; their paths begin below it.
 */

/** Return a valid name for a dataset (the rule of shared/names.py) that is like the title of a file or folder. */
export function suggestName(title) {
  const plain = title.replace(/\.zip$/i, "").normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const name = plain.replace(/[^a-z0-9_-]+/g, "-").replace(/^[^a-z0-9]+|-+$/g, "").slice(0, 63);
  return name || "pictures";
}

/** Return what an `<input type="file">` holds; null if nothing was chosen. */
export function readChosen(input) {
  const files = [...input.files];
  if (!files.length) return null;
  if (!input.webkitdirectory) return { title: files[0].name, zip: files[0], files: [] };
  const pathOf = (file) => file.webkitRelativePath.split("/");
  return folderOf(pathOf(files[0])[0], files.map((file) => ({ path: pathOf(file).slice(1).join("/"), file })));
}

/**
 * Return what was dropped. Only a dropped folder has to be read, so this takes a moment.
 * @param {DataTransfer} transfer of the event.
 * @returns {Promise<Picked|null>} null if it is neither one file nor folders.
 */
export async function readDropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 1 && entries[0].isFile) {
    const file = await new Promise((resolve, reject) => { entries[0].file(resolve, reject); });
    return { title: file.name, zip: file, files: [] };
  }
  if (!entries.length || !entries.every((entry) => entry.isDirectory)) return null;
  const found = [];
  const isSingle = entries.length === 1; // several folders are the classes themselves
  for (const entry of entries) await readFolder(entry, isSingle ? "" : `${entry.name}/`, found);
  return folderOf(entries.map(({ name }) => name).join("-"), found);
}

async function readFolder(folder, prefix, found) {
  const reader = folder.createReader();
  for (;;) { // a reader returns the entries in portions, and an empty one at the end
    const entries = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!entries.length) return;
    for (const entry of entries) {
      if (entry.isDirectory) await readFolder(entry, `${prefix}${entry.name}/`, found);
      else found.push({ path: prefix + entry.name, file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }) });
    }
  }
}

function folderOf(title, files) {
  const kept = files.filter(({ path }) => !path.split("/").some((name) => SKIPPED.test(name)));
  return { title, zip: null, files: kept.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}
