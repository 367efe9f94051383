/** Two types whose tasks run common programs. */
import { join } from "node:path";
import { command } from "tasktrack/handlers";

export default {
  /**
   * Packs a folder: tar and gzip in a script of fifteen lines that shows its progress.
   * Payload: `{ "folder": PATH, "output": PATH }`; result: `{ "files", "bytes" }`.
   */
  "folder.pack": command(
    ["bash", join(import.meta.dirname, "pack.sh"), "{payload.folder}", "{payload.output}"],
    { permanentExitCodes: [66] },
  ),

  /** The checksum of a file, in the log. A path may begin with a dash, because arguments after `--` are not options. */
  "file.checksum": command(["sha256sum", "--", "{payload.file}"], { allowDashes: true }),
};
