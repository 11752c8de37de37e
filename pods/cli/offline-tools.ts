/**
 * What the command line does to a data directory itself. The code for it belongs to the server; the program's root hands
 * it in, loaded when it is called, so that the client knows none of it.
 */
export interface OfflineTools {
  /** Checks the backup in `from` and copies it into `to`, which must be empty or absent. */
  restoreBackup(request: { readonly from: string; readonly to: string }): Promise<Readonly<Record<string, unknown>> | void>;
  /** Reads and checks everything in a data directory that no server has open. */
  verifyDirectory(request: { readonly dataDirectory: string }): Promise<{
    readonly ok: boolean;
    readonly faults: readonly string[];
    readonly checked: { readonly logRecords: number; readonly logBytes: number; readonly storeEntries: number; readonly storeBytes: number };
  }>;
}
