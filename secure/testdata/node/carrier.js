// The carrier: a process of secure/internal/nodetest, which has the socket and the
// shared memory, and copies frames. See there for the packets.

import { spawn } from 'node:child_process'

export class Carrier {
  // command is the bridge with its arguments.
  constructor (command, args) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    process.on('exit', () => this.child.kill('SIGKILL'))
    this.exited = new Promise((resolve) => this.child.on('exit', resolve))
    this.child.stdin.on('error', () => {}) // the other direction tells
  }

  // packets are those of the bridge, until it ends.
  async * packets () {
    let rest = Buffer.alloc(0)
    for await (const chunk of this.child.stdout) {
      rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
        const n = rest.readUInt32LE(0)
        yield { kind: String.fromCharCode(rest[4]), content: rest.subarray(5, 4 + n) }
        rest = rest.subarray(4 + n)
      }
    }
  }

  // write keeps the order of its calls.
  write (kind, content = Buffer.alloc(0)) {
    const head = Buffer.alloc(5)
    head.writeUInt32LE(1 + content.length)
    head.write(kind, 4, 'latin1')
    this.child.stdin.write(head)
    return this.child.stdin.write(content)
  }

  // drained waits until what was written is on its way.
  async drained () {
    if (this.child.stdin.writableNeedDrain) await new Promise((resolve) => this.child.stdin.once('drain', resolve))
  }

  // close ends the connection as it is.
  async close () {
    this.child.stdin.end()
    await this.exited
  }
}
