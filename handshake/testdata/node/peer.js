'use strict'
// One side of one handshake by a Noise implementation that is not ours, for
// TestInteropWithNode. It talks in frames over its standard streams: four bytes of
// length, big-endian, and the content.
//
//   first frame in   JSON: library, pattern, initiator, prologue, secretKey,
//                    publicKey, remoteStatic, psk (hexadecimal; absent where the
//                    pattern has none) and payloads, one for each message we write
//   then             Noise messages, by turns
//   last frame out   JSON: sendKey, receiveKey, hash, remoteStatic (where the
//                    library tells), and payloads, those of the messages we read

const fs = require('fs')

function readExactly (n) {
  const buffer = Buffer.alloc(n)
  for (let at = 0; at < n;) {
    const got = fs.readSync(0, buffer, at, n - at)
    if (got === 0) throw new Error('standard input ended')
    at += got
  }
  return buffer
}

function readFrame () {
  return readExactly(readExactly(4).readUInt32BE(0))
}

function writeFrame (content) {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(content.length, 0)
  const frame = Buffer.concat([head, content])
  for (let at = 0; at < frame.length;) at += fs.writeSync(1, frame, at)
}

const unhex = (text) => text === undefined ? undefined : Buffer.from(text, 'hex')
const hex = (bytes) => Buffer.from(bytes).toString('hex')

// Each library behind write(payload) -> message, read(message) -> payload and
// result().
const libraries = {
  'noise-handshake' (c, keyPair) {
    const Noise = require('noise-handshake')
    const noise = new Noise(c.pattern, c.initiator, keyPair, { psk: unhex(c.psk) })
    noise.initialise(unhex(c.prologue), unhex(c.remoteStatic))
    return {
      write: (payload) => noise.send(payload),
      read: (message) => noise.recv(message),
      result: () => ({
        sendKey: hex(noise.tx),
        receiveKey: hex(noise.rx),
        hash: hex(noise.hash),
        remoteStatic: noise.rs ? hex(noise.rs) : undefined
      })
    }
  },
  'noise-protocol' (c, keyPair) {
    const noise = require('noise-protocol')
    const state = noise.initialize(c.pattern, c.initiator, unhex(c.prologue), keyPair, undefined, unhex(c.remoteStatic))
    let split
    return {
      write (payload) {
        const message = Buffer.alloc(payload.length + 200)
        split = noise.writeMessage(state, payload, message)
        return message.subarray(0, noise.writeMessage.bytes)
      },
      read (message) {
        const payload = Buffer.alloc(message.length)
        split = noise.readMessage(state, message, payload)
        return payload.subarray(0, noise.readMessage.bytes)
      },
      result () {
        // The first key is the initiator's to send with (Noise §5.3). This library
        // (3.0.2, handshake-state.js) gives it to whoever writes the last message,
        // which is the same with three messages and not with two.
        const [tx, rx] = messages === 3 ? [split.tx, split.rx] : [split.rx, split.tx]
        return {
          sendKey: hex(tx.subarray(0, 32)),
          receiveKey: hex(rx.subarray(0, 32)),
          remoteStatic: state.rs ? hex(state.rs) : undefined
        }
      }
    }
  }
}

const config = JSON.parse(readFrame().toString())
const keyPair = config.secretKey && {
  secretKey: unhex(config.secretKey),
  publicKey: unhex(config.publicKey)
}
const peer = libraries[config.library](config, keyPair)
const messages = config.pattern.startsWith('XX') ? 3 : 2
const payloads = config.payloads.map(unhex)
const received = []
for (let i = 0; i < messages; i++) {
  if ((i % 2 === 0) === config.initiator) {
    writeFrame(peer.write(payloads.shift()))
  } else {
    received.push(hex(peer.read(readFrame())))
  }
}
writeFrame(Buffer.from(JSON.stringify({ ...peer.result(), payloads: received })))
