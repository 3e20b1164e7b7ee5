// One end of one secure connection, which does what TestNode… of package secure
// tells it: a JSON object on each line of the standard input, answered by one on
// the standard output: what the command returns, or {"error": …}. The first line
// is the configuration.

import crypto from 'node:crypto'
import readline from 'node:readline'
import { Carrier } from './carrier.js'
import { Session } from './session.js'

const MODE_SECURE = 1
const VERSION = 1
const STATUS_BAD_HELLO = 3
const CONTENT = 'bytes'
const LIMIT = 30_000 // milliseconds until something hangs

// docs/PROTOCOL.md, "Hello".
function hello (most, status = 0) {
  const b = Buffer.alloc(25 + CONTENT.length)
  b.write('sealport')
  b.writeUInt16LE(VERSION, 8)
  b[10] = MODE_SECURE
  b[11] = status
  b.writeBigUInt64LE(BigInt(most), 16)
  b[24] = CONTENT.length
  b.write(CONTENT, 25)
  return b
}

function parseHello (b) {
  if (b.length < 25 || b.length > 1024 || b.toString('latin1', 0, 8) !== 'sealport') throw new Error('not a hello')
  return { version: b.readUInt16LE(8), mode: b[10], status: b[11], most: Number(b.readBigUInt64LE(16)), content: b.toString('latin1', 25, 25 + b[24]) }
}

function fits (h) {
  return h.version === VERSION && h.mode === MODE_SECURE && h.most > 0 && h.content === CONTENT
}

// The content of a message, which the Go side makes in the same way.
function pattern (size, seed) {
  const b = Buffer.allocUnsafe(size)
  for (let i = 0; i < size; i++) b[i] = (seed + i * 7 + (i >> 8)) & 0xff
  return b
}

class Peer {
  constructor (config) {
    this.config = config
    this.queue = [] // messages
    this.waiting = [] // who looks again when something has happened
    this.failure = null
  }

  // happened wakes everybody who waits.
  happened () {
    for (const wake of this.waiting.splice(0)) wake()
  }

  // until waits for something to become true.
  async until (what) {
    const since = Date.now()
    while (!what()) {
      if (this.failure) throw this.failure
      const left = LIMIT - (Date.now() - since)
      if (left <= 0) throw new Error('nothing happens')
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left)
        this.waiting.push(() => { clearTimeout(timer); resolve() })
      })
    }
  }

  start () {
    const c = this.config
    const args = [...c.bridge.slice(1), '-endpoint', c.endpoint, '-dir', c.dir]
    if (c.host) args.push('-host')
    else args.push('-hello', hello(c.most).toString('hex'))
    this.carrier = new Carrier(c.bridge[0], args)
    this.pump().catch((err) => { this.failure = err; this.happened() })
  }

  // pump reads what the bridge says.
  async pump () {
    for await (const { kind, content } of this.carrier.packets()) {
      switch (kind) {
        case 'L': this.listening = true; break
        case 'C': this.connected(JSON.parse(content)); break
        case 'F': this.frame(content); break
        case 'E':
        case 'G': this.session?.frameEnd(); break
      }
      this.happened()
    }
    this.session?.frameEnd()
    if (!this.session) throw new Error('the bridge has ended')
    this.happened()
  }

  connected (info) {
    const theirs = parseHello(Buffer.from(info.hello, 'hex'))
    if (!info.accepted) {
      if (!this.config.host) throw new Error(`refused with status ${theirs.status}`)
      const ok = fits(theirs)
      this.carrier.write(ok ? 'A' : 'R', hello(this.config.most, ok ? 0 : STATUS_BAD_HELLO))
      return
    }
    if (!fits(theirs)) throw new Error('the hello does not fit')
    const c = this.config
    const [self, peer] = [info.self, info.peer].map((b) => Buffer.from(b, 'hex'))
    const trusted = Buffer.from(c.trusted, 'hex')
    this.session = new Session({
      pattern: c.pattern,
      psk: c.psk && Buffer.from(c.psk, 'hex'),
      initiator: !c.host,
      hybrid: c.hybrid,
      secretKey: Buffer.from(c.secretKey, 'hex'),
      peerKey: c.host ? undefined : trusted,
      endpoint: info.endpoint,
      initiatorIdentity: c.host ? peer : self,
      responderIdentity: c.host ? self : peer,
      accepts (key) { if (!key.equals(trusted)) throw new Error('the peer\'s key is not trusted') },
      maxFrame: info.maxFrame,
      maxSend: theirs.most,
      maxReceive: c.most,
      write: (frame) => this.carrier.write('F', frame)
    })
  }

  frame (content) {
    try {
      this.queue.push(...this.session.receive(content))
    } catch {
      // What has ended the session is in session.ended. As sealport does, a peer
      // that breaks the protocol is told nothing but the end.
      this.carrier.close()
    }
  }

  // The commands. Each returns an object, or nothing.

  async listen () { await this.until(() => this.listening) }

  async connect () {
    await this.until(() => this.session?.established || this.session?.ended)
    if (!this.session.established) throw this.session.ended
    return { hash: this.session.hash.toString('hex'), peerKey: this.session.peerKey.toString('hex') }
  }

  async send ({ size, seed }) {
    this.session.sendMessage(pattern(size, seed))
    await this.carrier.drained()
  }

  async together ({ sizes, seed }) {
    this.session.sendTogether(sizes.map((size) => pattern(size, seed)))
    await this.carrier.drained()
  }

  async leaveout () { this.session.send.leaveOut() }

  async rekey () { this.session.rekey() }

  async rehandshake () {
    const before = this.session.stats.rehandshakes
    this.session.beginRehandshake()
    await this.until(() => this.session.stats.rehandshakes > before || this.session.ended)
    if (this.session.stats.rehandshakes === before) throw new Error(`the connection has ended: ${this.session.ended}`)
  }

  async next () {
    await this.until(() => this.queue.length > 0 || this.session.ended)
    return this.queue.shift()
  }

  async receive () {
    const message = await this.next()
    if (!message) throw new Error(`no message: ${this.session.ended}`)
    return { size: message.length, sha256: crypto.createHash('sha256').update(message).digest('hex') }
  }

  async echo ({ count }) {
    for (; count > 0; count--) {
      const message = await this.next()
      if (!message) throw new Error(`no message: ${this.session.ended}`)
      this.session.sendMessage(message)
      await this.carrier.drained()
    }
  }

  async close () {
    this.session.close()
    this.carrier.write('E')
  }

  // cut is a close that nobody has sealed.
  async cut () { this.carrier.write('E') }

  async end () {
    await this.until(() => this.session.ended)
    const { ended } = this.session
    return { end: ended === 'close' ? 'close' : ended.message, left: this.queue.length }
  }

  async stats () { return { ...this.session.stats } }

  async leave () { await this.carrier.close() }
}

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const peer = new Peer(JSON.parse((await lines.next()).value))
peer.start()
for (let line; (line = await lines.next()), !line.done;) {
  const command = JSON.parse(line.value)
  let answer
  try {
    answer = (await peer[command.do](command)) ?? {}
  } catch (err) {
    answer = { error: err.message }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
process.exit(0)
