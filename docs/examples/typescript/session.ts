// Sessions that outlive their connection, whatever JSON-RPC library carries them. The files beside this one bind
// it to three: vscode-jsonrpc.ts, rpc-websockets.ts and open-rpc.ts.
import { randomUUID } from "node:crypto";

/** Sends a request; rejects with the error's `code` and `data`. */
export type Call = (method: string, params: object) => Promise<any>;

export interface Output {
  session_id: string;
  seq: number;
  type: "stdout" | "stderr" | "pty";
  data: string;
  encoding?: "base64";
}

export interface Completion {
  session_id: string;
  seq: number;
  status: "completed" | "failed" | "canceled";
  exit_code: number | null;
  signal: string | null;
  reason: string;
  escalated: boolean;
  survivors: number[];
}

export interface ExecuteParams {
  command: string | string[];
  cwd?: string;
  env?: Record<string, string | null>;
  stdin?: "none" | "pipe";
  on_disconnect?: "kill" | "keep";
  [field: string]: unknown;
}

const sessionNotFound = -32002;

/** One command on the server. */
export class Session {
  // Chosen here, so that the session can be found again even if the reply to its execute is lost.
  readonly id = randomUUID();
  readonly completed: Promise<Completion>;
  /** The place in the log up to which `onOutput` was told: where to go on after a lost connection. */
  seq = 0;
  #complete!: (record: Completion) => void;
  #lose!: (error: unknown) => void;

  constructor(private runnel: Runnel, private readonly onOutput: (output: Output) => void) {
    this.completed = new Promise((resolve, reject) => ([this.#complete, this.#lose] = [resolve, reject]));
    this.completed.catch(() => {}); // whoever awaits it is told; nobody has to
  }

  write(data: string, eof = false): Promise<{ stdin_bytes: number }> {
    return this.#call("write", { data, eof });
  }
  pause() {
    return this.#call("control", { type: "PAUSE" });
  }
  resume() {
    return this.#call("control", { type: "RESUME" });
  }
  /** Resolves once the whole tree is gone. */
  cancel(): Promise<{ status: string; survivors: number[] }> {
    return this.#call("cancel", {});
  }
  /** Goes on over another connection, right after what was told last. */
  async attach(runnel: Runnel) {
    this.runnel = runnel;
    runnel.sessions.set(this.id, this);
    await this.#call("attach", { after_seq: this.seq }).catch((error) => {
      if (error.code === sessionNotFound) this.#lose(error);
      throw error;
    });
  }

  notified(method: string, params: any) {
    this.seq = params.seq;
    if (method === "process.output") this.onOutput(params);
    if (method === "process.completed") this.#complete(params);
  }

  #call(method: string, params: object) {
    return this.runnel.call(method, { session_id: this.id, ...params });
  }
}

/** One connection to the server, and the sessions that it gets events of. */
export class Runnel {
  readonly sessions = new Map<string, Session>();
  readonly #waiting = new Set<(error: Error) => void>();

  constructor(private readonly send: Call) {}

  call(method: string, params: object): Promise<any> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      this.send(method, params).then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  /** Rejects what was asked and never will be answered: not every library does. The sessions are not lost. */
  disconnected() {
    for (const reject of this.#waiting) reject(new Error("connection lost"));
  }

  /** Starts a command. `onOutput` gets what it writes as it comes. */
  async execute(params: ExecuteParams, onOutput: (output: Output) => void): Promise<Session> {
    const session = new Session(this, onOutput);
    this.sessions.set(session.id, session);
    try {
      await this.call("execute", { ...params, session_id: session.id });
    } catch (error) {
      this.sessions.delete(session.id);
      throw error;
    }
    return session;
  }

  /** Takes what the server notifies of. */
  notified(method: string, params: any) {
    this.sessions.get(params?.session_id)?.notified(method, params);
    if (method === "process.completed") this.sessions.delete(params.session_id);
  }
}
