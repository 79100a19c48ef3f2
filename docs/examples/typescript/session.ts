// Sessions that continue after a lost connection, for any JSON-RPC library. The files beside this one connect it to
// three of them: vscode-jsonrpc.ts, rpc-websockets.ts and open-rpc.ts.
import { randomUUID } from "node:crypto";

/** Sends a request. It rejects with an error that has `code` and `data`. */
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
  // The client chooses the id, so it knows the id even if the reply to execute is lost.
  readonly id = randomUUID();
  readonly completed: Promise<Completion>;
  /** The position in the log up to which `onOutput` has been called. `attach` continues there. */
  seq = 0;
  #complete!: (record: Completion) => void;
  #lose!: (error: unknown) => void;

  constructor(private runnel: Runnel, private readonly onOutput: (output: Output) => void) {
    this.completed = new Promise((resolve, reject) => ([this.#complete, this.#lose] = [resolve, reject]));
    this.completed.catch(() => {}); // not an unhandled rejection if nothing awaits it
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
  /** Ends the session. Resolves when its whole process tree has ended. */
  cancel(): Promise<{ status: string; survivors: number[] }> {
    return this.#call("cancel", {});
  }
  /** Continues on another connection, after the last event received. */
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

/** One connection to the server, and the sessions whose events it receives. */
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

  /** Rejects the requests in flight, which not every library does. The sessions continue on the server. */
  disconnected() {
    for (const reject of this.#waiting) reject(new Error("connection lost"));
  }

  /** Starts a command. `onOutput` is called with each `process.output`. */
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

  /** Call this with each notification of the server. */
  notified(method: string, params: any) {
    this.sessions.get(params?.session_id)?.notified(method, params);
    if (method === "process.completed") this.sessions.delete(params.session_id);
  }
}
