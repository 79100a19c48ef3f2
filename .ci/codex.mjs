// Runs the command line of Codex against a Runnel server. A scripted model answers on loopback. Each task asserts on the
// file system and on what the model was told.
//
//	node codex.mjs READY_FILE BARE_READY_FILE CODEX DIRECTORY [TASK…]
//
// The bare server has no mechanism for a sandbox.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'

const [readyFile, bareReadyFile, codex, root, ...only] = process.argv.slice(2)

function serverOf(file) {
  const ready = JSON.parse(fs.readFileSync(file))
  return { url: new URL(ready.url), token: fs.readFileSync(ready.token_file, 'utf8').trim() }
}
const server = serverOf(readyFile)
const bare = serverOf(bareReadyFile)

const exec = (cmd, more = {}) => ({
  name: 'exec_command', arguments: { cmd, login: false, yield_time_ms: 25000, ...more },
})
// SESSION is replaced by the id of the newest session that the model was told.
const write = (chars, more = {}) => ({
  name: 'write_stdin', arguments: { session_id: 'SESSION', chars, yield_time_ms: 5000, ...more },
})

const listen = (s) => new Promise((done) => s.listen(0, '127.0.0.1', () => done(s.address().port)))

// model answers the requests of one run with the steps of a script, and collects the results of the calls.
function model(steps) {
  const told = []
  let turn = 0
  const s = http.createServer((request, response) => {
    let body = ''
    request.on('data', (part) => (body += part))
    request.on('end', () => {
      if (request.method === 'GET') {
        response.setHeader('Content-Type', 'application/json')
        response.end('{"models":[]}')
        return
      }
      const input = JSON.parse(body).input
      told.splice(0, told.length, ...input.filter((i) => i.type === 'function_call_output').map((i) => String(i.output)))
      const step = steps[turn++]
      let item = { type: 'message', role: 'assistant', id: `m${turn}`, content: [{ type: 'output_text', text: 'done' }] }
      if (step) {
        const session = [...body.matchAll(/session ID (\d+)/g)].pop()?.[1]
        const args = JSON.stringify(step.arguments).replace('"SESSION"', session ?? '0')
        item = { type: 'function_call', id: `f${turn}`, call_id: `c${turn}`, name: step.name, arguments: args }
      }
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      const send = (type, data) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
      send('response.created', { response: { id: `r${turn}` } })
      send('response.output_item.added', { output_index: 0, item })
      send('response.output_item.done', { output_index: 0, item })
      const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 }
      send('response.completed', { response: { id: `r${turn}`, usage } })
      response.end()
    })
  })
  return { s, told, turns: () => turn }
}

// relay forwards connections to a server, and can reset them.
function relay({ url }) {
  const open = new Set()
  let accepted = 0
  const s = net.createServer((client) => {
    accepted++
    const upstream = net.connect(Number(url.port), url.hostname)
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      open.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => { open.delete(from); to.destroy() })
      from.pipe(to)
    }
  })
  return { s, accepted: () => accepted, reset: () => open.forEach((socket) => socket.resetAndDestroy()) }
}

// run lets the command line work in a directory until the model is done. during is called while it runs.
async function run(name, steps, { mode = 'danger-full-access', to = server, prepare, during } = {}) {
  const dir = path.join(root, name)
  const work = path.join(dir, 'work')
  fs.mkdirSync(work, { recursive: true })
  fs.mkdirSync(path.join(dir, 'home'))
  prepare?.(work)
  const m = model(steps)
  const r = relay(to)
  const modelPort = await listen(m.s)
  const port = await listen(r.s)
  fs.writeFileSync(path.join(dir, 'home/config.toml'), `model = "mock"
model_provider = "mock"
approval_policy = "never"
sandbox_mode = "${mode}"
[model_providers.mock]
name = "mock"
base_url = "http://127.0.0.1:${modelPort}/v1"
wire_api = "responses"
`)
  fs.writeFileSync(path.join(dir, 'home/environments.toml'), `default = "runnel"
include_local = false
[[environments]]
id = "runnel"
url = "ws://127.0.0.1:${port}/codex"
auth_bearer_token = "${to.token}"
`)
  const child = spawn(codex, ['exec', '--skip-git-repo-check', 'task'], {
    cwd: work, env: { ...process.env, CODEX_HOME: path.join(dir, 'home') }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  child.stdout.on('data', (part) => (text += part))
  child.stderr.on('data', (part) => (text += part))
  const late = setTimeout(() => child.kill('SIGKILL'), 180_000)
  const exited = new Promise((done) => child.on('exit', done))
  await during?.({ work, relay: r, model: m, exited })
  const code = await exited
  clearTimeout(late)
  m.s.close()
  r.s.close()
  r.reset()
  assert.equal(code, 0, `codex exited with ${code}:\n${text}`)
  assert.equal(m.turns(), steps.length + 1, `the model was asked ${m.turns()} times:\n${text}`)
  return { work, told: m.told, connections: r.accepted() }
}

const read = (file) => fs.readFileSync(file, 'utf8')

async function until(what, ok) {
  for (const end = Date.now() + 60_000; !ok(); await new Promise((done) => setTimeout(done, 50))) {
    assert(Date.now() < end, `not within a minute: ${what}`)
  }
}

// living returns whether the process runs whose id is in a file.
const living = (file) => {
  try {
    return !/^State:\s+[ZX]/m.test(read(`/proc/${read(file).trim()}/status`))
  } catch {
    return false
  }
}

const tasks = {
  async command() {
    const { work, told } = await run('command', [exec('echo hello | tee file; pwd')])
    assert.equal(read(path.join(work, 'file')), 'hello\n')
    assert.match(told[0], /exited with code 0[^]*hello/)
    assert(told[0].includes(work), told[0])
  },
  async output() {
    const { work, told } = await run('output', [exec('seq 300000 | tee file; echo last >&2')])
    assert.equal(read(path.join(work, 'file')).length, 1988895)
    assert.match(told[0], /exited with code 0/)
    assert.match(told[0], /\n1\n2\n3\n/)
    assert.match(told[0], /300000\n?/)
  },
  async failure() {
    const { work, told } = await run('failure', [exec('touch file; echo oops >&2; exit 7'), exec('kill -TERM $$')])
    assert(fs.existsSync(path.join(work, 'file')))
    assert.match(told[0], /exited with code 7[^]*oops/)
    assert.match(told[1], /exited with code 143/)
  },
  async terminal() {
    const script = 'printf "name? "; read name; stty size; echo "hello $name" | tee file'
    const { work, told } = await run('terminal', [exec(script, { tty: true, yield_time_ms: 3000 }), write('you\n', { yield_time_ms: 20000 })])
    assert.match(told[0], /name\? /)
    assert.match(told[1], /24 80[^]*hello you/)
    assert.equal(read(path.join(work, 'file')), 'hello you\n')
  },
  async patch() {
    const patch = '*** Begin Patch\n*** Add File: new.txt\n+one\n*** Update File: old.txt\n@@\n-before\n+after\n*** Delete File: gone.txt\n*** End Patch'
    const { work, told } = await run('patch', [exec(`apply_patch <<'EOF'\n${patch}\nEOF`)], {
      mode: 'workspace-write',
      prepare: (dir) => {
        fs.writeFileSync(path.join(dir, 'old.txt'), 'before\n')
        fs.writeFileSync(path.join(dir, 'gone.txt'), 'gone\n')
      },
    })
    assert.match(told[0], /Success/)
    assert.equal(read(path.join(work, 'new.txt')), 'one\n')
    assert.equal(read(path.join(work, 'old.txt')), 'after\n')
    assert(!fs.existsSync(path.join(work, 'gone.txt')))
  },
  async outside() {
    const outside = path.join(root, 'outside.txt')
    fs.writeFileSync(outside, 'from outside\n')
    const { work, told } = await run('outside', [exec(`cat ${outside} | tee copy`)], { mode: 'workspace-write' })
    assert.match(told[0], /from outside/)
    assert.equal(read(path.join(work, 'copy')), 'from outside\n')
  },
  async background() {
    const script = 'sh -c \'echo $$ >plain; exec sleep 1000\' >/dev/null 2>&1 & ' +
      'setsid sh -c \'echo $$ >session; exec sleep 1000\' >/dev/null 2>&1 & until [ -s plain ] && [ -s session ]; do sleep 0.05; done'
    const alive = 'kill -0 $(cat plain) && kill -0 $(cat session) && echo both'
    const { work, told } = await run('background', [exec(script), exec(alive)])
    assert.match(told[0], /exited with code 0/)
    assert.match(told[1], /both/)
    await until('the background processes have ended', () => !living(path.join(work, 'plain')) && !living(path.join(work, 'session')))
  },
  async interrupt() {
    const script = 'trap "echo interrupted | tee file; exit 5" INT; echo ready; while :; do sleep 0.05; done'
    const { work, told } = await run('interrupt', [exec(script, { tty: true, yield_time_ms: 3000 }), write('\u0003', { yield_time_ms: 20000 })])
    assert.match(told[0], /ready/)
    assert.match(told[1], /exited with code 5[^]*interrupted/)
    assert.equal(read(path.join(work, 'file')), 'interrupted\n')
  },
  async dropped() {
    const script = 'i=0; while [ $i -lt 120 ]; do i=$((i+1)); echo line $i; sleep 0.01; if [ $i -eq 40 ]; then touch middle; fi; done; touch end'
    const { work, told, connections } = await run('dropped', [exec(script), write('', { yield_time_ms: 25000 })], {
      during: async ({ work, relay }) => {
        await until('the command is in the middle', () => fs.existsSync(path.join(work, 'middle')))
        relay.reset()
      },
    })
    assert(connections >= 2, `${connections} connections`)
    assert(fs.existsSync(path.join(work, 'end')))
    const text = told.join('\n')
    assert.match(text, /exited with code 0/)
    const lines = [...text.matchAll(/^line (\d+)$/gm)].map((m) => Number(m[1]))
    assert.deepEqual(lines, Array.from({ length: 120 }, (_, i) => i + 1))
  },
  async two() {
    const script = (other) => `touch here; until [ -e ../../${other}/work/here ]; do sleep 0.05; done; echo met ${other}`
    const [a, b] = await Promise.all([run('two-a', [exec(script('two-b'))]), run('two-b', [exec(script('two-a'))])])
    assert.match(a.told[0], /exited with code 0[^]*met two-b/)
    assert.match(b.told[0], /exited with code 0[^]*met two-a/)
  },
  async workspace() {
    const outside = path.join(root, '..', 'server', 'home', 'written')
    const { work, told } = await run('workspace', [exec(`echo in >file; echo out >${outside}`)], { mode: 'workspace-write' })
    if (/Runnel cannot enforce this sandbox/.test(told[0])) { // then nothing has run
      assert(!fs.existsSync(path.join(work, 'file')))
      return
    }
    assert.equal(read(path.join(work, 'file')), 'in\n')
    // The scratch directory is below /tmp, which this mode permits: outside is what is not.
    const { told: more } = await run('workspace-home', [exec('echo out >/var/written-by-codex')], { mode: 'workspace-write' })
    assert(!fs.existsSync('/var/written-by-codex'))
    assert.doesNotMatch(more[0], /exited with code 0/)
    assert.match(more[0], /Read-only file system|Permission denied/)
  },
  async readonly() {
    const { work, told } = await run('readonly', [exec('cat /etc/passwd >/dev/null && echo read; echo in >file')], { mode: 'read-only' })
    assert(!fs.existsSync(path.join(work, 'file')))
    if (!/Runnel cannot enforce this sandbox/.test(told[0])) {
      assert.match(told[0], /^read$/m)
      assert.match(told[0], /Read-only file system|Permission denied/) // stderr may come before
    }
  },
  async unenforced() {
    const outside = path.join(root, 'unenforced.txt')
    const { work, told } = await run('unenforced', [exec(`echo in >file; echo out >${outside}`)], { mode: 'workspace-write', to: bare })
    assert(!fs.existsSync(path.join(work, 'file')))
    assert(!fs.existsSync(outside))
    assert.match(told[0], /Runnel cannot enforce this sandbox here: [^]*disposable container or VM/)
    assert.doesNotMatch(told[0], /exited with code 0/)
  },
}

let failed = 0
for (const [name, task] of Object.entries(tasks)) {
  if (only.length > 0 && !only.includes(name)) continue
  const begun = Date.now()
  try {
    await task()
    console.log(`ok   ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`)
  } catch (e) {
    failed++
    console.log(`FAIL ${name}: ${e.stack}`)
  }
}
process.exitCode = failed > 0 ? 1 : 0
