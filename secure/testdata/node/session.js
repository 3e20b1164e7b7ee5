// A secure connection after the hello, from docs/PROTOCOL.md: handshake, records,
// rehandshake, messages. Frames in, frames out; it knows no carrier.

import crypto from 'node:crypto'
import { Handshake } from './handshake.js'

const DATA = 0
const CLOSE = 1
const REKEY = 2
const HANDSHAKE = 3
const SWITCH = 4
const READY = 5

const HEADER = 4
const TAG = 16
const OVERHEAD = HEADER + TAG
const REKEY_RECORDS = 2 ** 22
const REKEY_BYTES = 2 ** 32
const LAST_NUMBER = 2n ** 64n - 2n
const REHANDSHAKES_AT_ONCE = 8

function nonceOf (number) {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64LE(number, 4)
  return nonce
}

function seal (key, number, ad, plain) {
  const cipher = crypto.createCipheriv('chacha20-poly1305', key, nonceOf(number), { authTagLength: TAG })
  cipher.setAAD(ad, { plaintextLength: plain.length })
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function adOf (header, n) {
  const ad = Buffer.alloc(8)
  header.copy(ad)
  ad.writeUInt32LE(n, 4)
  return ad
}

// One direction's key, number and counts.
class Direction {
  constructor (key) {
    this.replace(key)
  }

  replace (key) {
    this.key = key
    this.number = 0n
    this.records = 0
    this.bytes = 0
    this.skip = 0
  }

  rekey () {
    this.replace(seal(this.key, 2n ** 64n - 1n, Buffer.alloc(0), Buffer.alloc(32)).subarray(0, 32))
  }

  count (n) {
    this.records++
    this.bytes += n
  }

  get due () {
    return this.records >= REKEY_RECORDS || this.bytes >= REKEY_BYTES
  }

  seal (type, plain) {
    if (this.number > LAST_NUMBER || this.skip > 0xffff) throw new Error('record numbers are exhausted')
    const header = Buffer.from([type, 0, this.skip & 0xff, this.skip >> 8])
    const record = Buffer.concat([header, seal(this.key, this.number, adOf(header, plain.length), plain)])
    this.number++
    this.skip = 0
    this.count(plain.length)
    return record
  }

  // A record that is sealed and not sent.
  leaveOut () {
    this.number++
    this.skip++
  }

  open (record) {
    const n = record.length - OVERHEAD
    if (n < 0) throw new Error('record does not authenticate')
    const header = record.subarray(0, HEADER)
    const number = this.number + BigInt(header.readUInt16LE(2))
    if (number > LAST_NUMBER) throw new Error('record numbers are exhausted')
    const cipher = crypto.createDecipheriv('chacha20-poly1305', this.key, nonceOf(number), { authTagLength: TAG })
    cipher.setAAD(adOf(header, n), { plaintextLength: n })
    cipher.setAuthTag(record.subarray(HEADER + n))
    const plain = cipher.update(record.subarray(HEADER, HEADER + n))
    try {
      cipher.final()
    } catch {
      throw new Error('record does not authenticate')
    }
    this.number = number + 1n
    this.count(n)
    const type = header[0]
    if (type > READY || header[1] !== 0) throw new Error(`malformed record of type ${type}`)
    if ((type === DATA || type === HANDSHAKE) !== n > 0) throw new Error(`malformed record of type ${type} with ${n} bytes`)
    if (this.records > 2 * REKEY_RECORDS || this.bytes > 2 * REKEY_BYTES) throw new Error('the peer does not change its key')
    if (type === REKEY) this.rekey()
    return { type, plain }
  }
}

// "Messages": items of frames, and back.
class Assembler {
  constructor (most) {
    this.most = most
    this.pieces = null
  }

  // read returns the messages that are complete with this frame.
  read (frame) {
    const messages = []
    for (let at = 0; at < frame.length;) {
      if (frame.length - at < 4) throw new Error('item cut off')
      const word = frame.readUInt32LE(at)
      const kind = word >>> 30
      const n = word & 0x3fffffff
      at += 4
      if (kind === 3) throw new Error('item of unknown kind')
      if (kind === 1) {
        if (frame.length - at < 8) throw new Error('item cut off')
        const size = Number(frame.readBigUInt64LE(at))
        at += 8
        if (size > this.most || n >= size) throw new Error(`first piece of ${n} bytes of ${size}`)
        this.pieces = { size, have: 0, parts: [] }
      }
      if (n > frame.length - at) throw new Error('item cut off')
      const content = Buffer.from(frame.subarray(at, at + n))
      at += n
      if (kind === 0) {
        if (n > this.most) throw new Error('message too large')
        this.pieces = null
        messages.push(content)
        continue
      }
      if (at !== frame.length) throw new Error('something after a piece')
      const p = this.pieces
      if (!p || (kind === 2 && n === 0) || p.have + n > p.size) throw new Error('piece out of place')
      p.have += n
      p.parts.push(content)
      if (p.have === p.size) {
        messages.push(Buffer.concat(p.parts))
        this.pieces = null
      }
    }
    return messages
  }
}

function item (kind, n, ...parts) {
  const word = Buffer.alloc(4)
  word.writeUInt32LE((kind * 2 ** 30) + n)
  return Buffer.concat([word, ...parts])
}

// frames of a message that may have so many bytes each.
function * framesOf (message, most) {
  if (4 + message.length <= most) {
    yield item(0, message.length, message)
    return
  }
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(message.length))
  let at = Math.min(most - 12, message.length - 1)
  yield item(1, at, size, message.subarray(0, at))
  while (at < message.length) {
    const piece = message.subarray(at, at + most - 4)
    yield item(2, piece.length, piece)
    at += piece.length
  }
}

export class Session {
  // p: what Handshake needs; maxFrame; maxSend and maxReceive, the largest messages;
  // write(frame), which must keep the order; fixedRehandshake, for test vectors.
  constructor (p) {
    this.p = p
    this.messages = new Assembler(p.maxReceive)
    this.handshake = new Handshake({ ...p, binding: Buffer.alloc(0) })
    this.rehandshake = null // a handshake under way
    this.next = null // the key that the peer's switch brings into use
    this.switched = true // this side has sent its own
    this.accepted = p.pattern !== 'XX' || !p.initiator // the host has said so
    this.begun = Date.now()
    this.ended = null // how the peer's direction has: 'close', or an Error
    this.closed = false // this side's
    this.stats = { rehandshakes: 0, records: [0, 0, 0, 0, 0, 0], skipped: 0, asked: 0 }
    if (p.initiator) p.write(this.handshake.write())
  }

  get established () {
    return this.send !== undefined && this.accepted
  }

  // receive takes a frame of the peer's and returns the messages that came with
  // it. After an error it takes none.
  receive (frame) {
    if (this.ended) return []
    try {
      return this.take(frame)
    } catch (err) {
      this.ended = err
      throw err
    }
  }

  take (frame) {
    if (!this.send) {
      this.handshake.read(frame)
      if (this.handshake.writes) this.p.write(this.handshake.write())
      if (this.handshake.done) this.establish()
      return []
    }
    const before = this.open.number
    const { type, plain } = this.open.open(frame)
    this.stats.records[type]++
    if (this.open.number > before + 1n) this.stats.skipped += Number(this.open.number - before - 1n)
    if ((type === READY) === this.accepted) throw new Error(`record of type ${type} out of turn`)
    switch (type) {
      case DATA: return this.messages.read(plain)
      case CLOSE: this.ended = 'close'; break
      case HANDSHAKE: this.handshakeMessage(plain); break
      case SWITCH: this.switchOpen(); break
      case READY: this.accepted = true; break
    }
    return []
  }

  // frameEnd is called for the carrier's end, in good order or not.
  frameEnd () {
    this.ended ??= new Error('truncated')
  }

  establish () {
    const h = this.handshake
    this.hash = h.hash
    this.peerKey = h.peerKey
    this.send = new Direction(h.sendKey)
    this.open = new Direction(h.receiveKey)
    if (this.p.pattern === 'XX' && !this.p.initiator) this.record(READY)
  }

  record (type, plain = Buffer.alloc(0)) {
    if (this.closed) throw new Error('closed')
    if (this.send.due && type !== REKEY) this.rekey()
    this.p.write(this.send.seal(type, plain))
  }

  sendMessage (message) {
    if (message.length > this.p.maxSend) throw new Error('message too large')
    for (const frame of framesOf(message, this.p.maxFrame - OVERHEAD)) this.record(DATA, frame)
  }

  // Several small messages in one record.
  sendTogether (messages) {
    this.record(DATA, Buffer.concat(messages.map((m) => item(0, m.length, m))))
  }

  rekey () {
    this.record(REKEY)
    this.send.rekey()
  }

  close () {
    this.record(CLOSE)
    this.closed = true
  }

  // "Rehandshake".

  handshakeAgain () {
    return new Handshake({
      ...this.p,
      peerKey: this.p.peerKey && this.peerKey,
      binding: this.hash,
      fixed: this.p.fixedRehandshake,
      accepts: (key) => {
        if (!key.equals(this.peerKey)) throw new Error('the peer has another key than before')
        this.p.accepts(key)
      }
    })
  }

  get rehandshaking () {
    return this.rehandshake !== null || this.next !== null || !this.switched
  }

  beginRehandshake () {
    if (!this.p.initiator || this.rehandshaking) throw new Error('no rehandshake can begin now')
    this.rehandshake = this.handshakeAgain()
    this.switched = false
    this.record(HANDSHAKE, this.rehandshake.write())
  }

  handshakeMessage (message) {
    if (!this.rehandshake) {
      if (this.p.initiator || this.rehandshaking) throw new Error('handshake message out of turn')
      this.stats.asked++
      if (this.stats.asked > REHANDSHAKES_AT_ONCE + Math.floor((Date.now() - this.begun) / 1000)) throw new Error('too many rehandshakes')
      this.rehandshake = this.handshakeAgain()
      this.switched = false
    }
    const h = this.rehandshake
    h.read(message)
    if (h.writes) this.record(HANDSHAKE, h.write())
    if (!h.done) return
    this.record(SWITCH)
    this.send.replace(h.sendKey)
    this.switched = true
    this.next = h.receiveKey
    this.hash = h.hash
    this.rehandshake = null
  }

  switchOpen () {
    if (!this.next) throw new Error('switch out of turn')
    this.open.replace(this.next)
    this.next = null
    this.stats.rehandshakes++
  }
}
