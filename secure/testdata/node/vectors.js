// Checks secure/testdata/vectors.json with this implementation: both sides of each
// connection, every byte that they send. The parent directory has the file.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import curve from 'noise-handshake/dh.js'
import { Session } from './session.js'

const unhex = (text) => Buffer.from(text ?? '', 'hex')
const TYPES = ['data', 'close', 'rekey', 'handshake', 'switch', 'ready']

function fixedOf (s, initiator) {
  return {
    ephemeral: unhex(initiator ? s.initiator_ephemeral : s.responder_ephemeral),
    seed: unhex(s.ml_kem_seed),
    message: unhex(s.ml_kem_message)
  }
}

function check (v) {
  const sent = { client: [], host: [] }
  const side = (initiator) => {
    const pattern = v.name.slice(0, 2)
    const responder = curve.generateKeyPair(unhex(v.responder_static)).publicKey
    return new Session({
      pattern,
      initiator,
      hybrid: v.ml_kem_seed !== undefined,
      psk: v.psk && unhex(v.psk),
      secretKey: unhex(initiator ? v.initiator_static : v.responder_static),
      peerKey: initiator && pattern === 'IK' ? responder : undefined,
      endpoint: v.endpoint,
      initiatorIdentity: unhex(v.initiator_identity),
      responderIdentity: unhex(v.responder_identity),
      accepts () {},
      fixed: fixedOf(v, initiator),
      fixedRehandshake: fixedOf(v.rehandshake, initiator),
      maxFrame: 65792,
      maxSend: 2 ** 20,
      maxReceive: 2 ** 20,
      write: (frame) => sent[initiator ? 'client' : 'host'].push(frame)
    })
  }
  const client = side(true)
  const host = side(false)
  const sides = { client, host }
  const other = { client: host, host: client }

  v.handshake.forEach((want, i) => {
    const from = i % 2 === 0 ? 'client' : 'host'
    const frame = sent[from].shift()
    assert.equal(frame.toString('hex'), want, `handshake message ${i + 1}`)
    other[from].receive(frame)
  })
  for (const s of [client, host]) {
    assert.equal(s.handshake.prologue.toString('hex'), v.prologue)
    assert.equal(s.hash.toString('hex'), v.hash)
    assert.equal(s.send.key.toString('hex'), s === client ? v.client_key : v.host_key)
    assert.equal(s.open.key.toString('hex'), s === client ? v.host_key : v.client_key)
  }
  for (const [i, step] of v.steps.entries()) {
    const from = sides[step.from]
    const plain = unhex(step.plaintext)
    const type = TYPES.indexOf(step.type)
    // What the handshake sends by itself is there already, in order; so is how
    // it was sealed.
    if (sent[step.from].length === 0) {
      assert.equal(from.send.key.toString('hex'), step.key)
      assert.equal(from.send.number, BigInt(step.number))
      assert.equal(from.send.skip, step.skip)
      if (step.not_sent) {
        from.send.leaveOut()
        continue
      }
      if (step.type === 'rekey') from.rekey()
      else if (step.type === 'close') from.close()
      else if (step.type === 'handshake') from.beginRehandshake()
      else from.record(type, plain)
    }
    const frame = sent[step.from].shift()
    assert.equal(frame.toString('hex'), step.record, `step ${i + 1}, ${step.type} of ${step.from}`)
    const messages = other[step.from].receive(frame)
    assert.deepEqual(messages.map((m) => m.toString('hex')), step.messages ?? [], `step ${i + 1}`)
  }
  assert.equal(client.ended, 'close')
  assert.equal(host.ended, 'close')
  for (const s of [client, host]) {
    assert.equal(s.stats.rehandshakes, 1)
    assert.equal(s.hash.toString('hex'), v.rehandshake.hash)
  }
}

const vectors = JSON.parse(fs.readFileSync(new URL('../vectors.json', import.meta.url)))
vectors.forEach(check)
console.log(`${vectors.length} vectors`)
