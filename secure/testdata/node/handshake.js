// One side of one handshake, from docs/HANDSHAKE.md. Noise itself is the package
// noise-handshake's, ML-KEM that of @noble/post-quantum.

import { blake2b } from '@noble/hashes/blake2.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { ml_kem768 as mlkem } from '@noble/post-quantum/ml-kem.js'
import Noise from 'noise-handshake'
import curve from 'noise-handshake/dh.js'

const TAG = 16
const LIMITS = 12
const MAX_PAYLOAD = 1024
const PATTERNS = { XX: 0, IK: 1 }
const FLAG_HYBRID = 1
const FLAG_PSK = 2

// "Hint": which of the responder's keys the initiator expects.
function hintOf (key) {
  if (!key) return Buffer.alloc(4)
  const hint = Buffer.from(blake2b(Buffer.concat([Buffer.from('sealport key hint\0'), key]), { dkLen: 32 })).subarray(0, 4)
  if (hint.every((b) => b === 0)) hint[3] = 1
  return hint
}

// "Prologue".
function prologueOf (offer, p) {
  const parts = [Buffer.from('sealport'), offer]
  for (const field of [Buffer.from(p.endpoint), p.initiatorIdentity, p.responderIdentity, p.binding]) {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(field.length)
    parts.push(length, field)
  }
  return Buffer.concat(parts)
}

// "Suite": a second spelling of a key is refused. Points of small order are by
// the package, whose shared secret must not be zero.
function checkKey (key) {
  const x = BigInt('0x' + Buffer.from(key).reverse().toString('hex'))
  if (x >= 2n ** 255n - 19n) throw new Error('public key is not canonical')
}

// noise-handshake has no pattern with the PSK at the end of the last message. Such
// a one is the pattern without it, and the token, which another of its patterns
// has, put there (Noise §9).
const PSK_TOKEN = new Noise('NNpsk0', true, undefined, { psk: Buffer.alloc(32) }).handshake[0][0]

function noiseOf (p, keyPair) {
  const noise = new Noise(p.pattern, p.initiator, keyPair)
  if (p.hybrid || p.psk) {
    const last = noise.handshake.length - 1
    const slot = p.pattern === 'XX' ? 3 : 2
    noise.protocol = Buffer.from(`Noise_${p.pattern}psk${slot}_25519_ChaChaPoly_BLAKE2b`)
    noise.handshake[last] = [...noise.handshake[last], PSK_TOKEN]
    noise.isPskHandshake = true
  }
  return noise
}

export class Handshake {
  // p: pattern (XX or IK), initiator, hybrid, psk (or none), secretKey, peerKey
  // (the one expected, or none), endpoint, initiatorIdentity, responderIdentity,
  // binding; accepts(key), which judges the peer's; fixed: {ephemeral, seed,
  // message} in place of random bytes.
  constructor (p) {
    this.p = p
    this.messages = p.pattern === 'XX' ? 3 : 2
    this.next = 0
    this.done = false
    this.noise = noiseOf(p, curve.generateKeyPair(Buffer.from(p.secretKey)))
    if (p.psk) this.noise.psk = p.psk
    if (p.fixed) this.noise.e = curve.generateKeyPair(Buffer.from(p.fixed.ephemeral))
    if (p.initiator) {
      const flags = (p.hybrid ? FLAG_HYBRID : 0) | (p.psk ? FLAG_PSK : 0)
      this.start(Buffer.concat([Buffer.from([1, PATTERNS[p.pattern], flags, 0]), hintOf(p.peerKey)]))
    }
  }

  get writes () {
    return !this.done && (this.next % 2 === 0) === this.p.initiator
  }

  start (offer) {
    this.offer = Buffer.from(offer)
    this.prologue = prologueOf(this.offer, this.p)
    this.noise.initialise(this.prologue, this.p.pattern === 'IK' && this.p.initiator ? this.p.peerKey : undefined)
  }

  // The layout of a message, "Messages": sizes of prefix, kem in the payload, and
  // whether there are limits and a payload of the application's.
  layout (i) {
    const { pattern, hybrid, psk } = this.p
    const l = { prefix: i === 0 ? 8 : 0, kem: 0, limits: pattern !== 'XX' || i > 0, ephemeral: pattern !== 'XX' || i < 2 }
    if (hybrid && i === 0) l.kem = mlkem.lengths.publicKey
    if (hybrid && i === 1 && pattern === 'XX') l.kem = mlkem.lengths.cipherText
    if (hybrid && i === 1 && pattern === 'IK') l.prefix = mlkem.lengths.cipherText
    const hasStatic = pattern === 'XX' ? i > 0 : i === 0
    const tagged = pattern !== 'XX' || i > 0 || hybrid || psk
    l.keys = (l.ephemeral ? 32 : 0) + (hasStatic ? 32 + TAG : 0)
    l.least = l.prefix + l.keys + l.kem + (l.limits ? LIMITS : 0) + (tagged ? TAG : 0)
    l.most = l.least + (l.limits ? MAX_PAYLOAD : 0)
    return l
  }

  write () {
    if (!this.writes) throw new Error('not our turn')
    const l = this.layout(this.next)
    const prefix = []
    let kem = Buffer.alloc(0)
    if (this.next === 0) {
      prefix.push(this.offer)
      if (this.p.hybrid) {
        const pair = mlkem.keygen(this.p.fixed?.seed)
        this.decapsulationKey = pair.secretKey
        this.encapsulationKey = kem = Buffer.from(pair.publicKey)
      }
    } else if (this.next === 1 && this.p.hybrid) {
      const { cipherText, sharedSecret } = mlkem.encapsulate(this.encapsulationKey, this.p.fixed?.message)
      this.mix(sharedSecret, cipherText)
      if (l.kem > 0) kem = Buffer.from(cipherText)
      else prefix.push(Buffer.from(cipherText))
    }
    const payload = Buffer.concat([kem, Buffer.alloc(l.limits ? LIMITS : 0)])
    const message = Buffer.concat([...prefix, this.noise.send(payload)])
    this.advance()
    return message
  }

  read (message) {
    if (this.done || this.writes) throw new Error('not the peer\'s turn')
    const l = this.layout(this.next)
    if (message.length < l.least || message.length > l.most) throw new Error(`handshake message of ${message.length} bytes`)
    message = Buffer.from(message) // the package clears what it was given
    const prefix = message.subarray(0, l.prefix)
    if (this.next === 0) this.accept(prefix)
    if (l.ephemeral) checkKey(message.subarray(l.prefix, l.prefix + 32))
    if (this.next === 1 && l.prefix > 0) this.mix(mlkem.decapsulate(prefix, this.decapsulationKey), prefix)
    const payload = this.noise.recv(message.subarray(l.prefix))
    if (this.noise.rs && !this.peerKey) {
      checkKey(this.noise.rs)
      this.peerKey = Buffer.from(this.noise.rs)
      this.p.accepts(this.peerKey)
    }
    if (l.kem > 0) {
      const kem = Buffer.from(payload.subarray(0, l.kem))
      if (this.next === 0) this.encapsulationKey = kem
      else this.mix(mlkem.decapsulate(kem, this.decapsulationKey), kem)
    }
    this.advance()
  }

  // The responder takes the one handshake that it is there for.
  accept (offer) {
    const { pattern, hybrid, psk } = this.p
    const flags = (hybrid ? FLAG_HYBRID : 0) | (psk ? FLAG_PSK : 0)
    if (offer[0] !== 1) throw new Error(`handshake version ${offer[0]}`)
    if (offer[1] !== PATTERNS[pattern] || offer[2] !== flags || offer[3] !== 0) throw new Error('another handshake is offered')
    const hint = offer.subarray(4)
    if (pattern === 'IK' && !hint.equals(hintOf(this.noise.s.publicKey))) throw new Error('another key is asked for')
    this.start(offer)
  }

  // "Hybrid".
  mix (shared, ciphertext) {
    const label = this.p.psk ? 'sealport hybrid 1 ML-KEM-768 and PSK' : 'sealport hybrid 1 ML-KEM-768'
    const info = Buffer.concat([Buffer.from(label + '\0'), this.encapsulationKey, ciphertext])
    this.noise.psk = Buffer.from(hkdf(blake2b, shared, this.p.psk ?? Buffer.alloc(32), info, 32))
  }

  advance () {
    this.next++
    if (!this.noise.complete) return
    this.done = true
    this.hash = Buffer.from(this.noise.hash)
    this.sendKey = Buffer.from(this.noise.tx)
    this.receiveKey = Buffer.from(this.noise.rx)
  }
}
