import Benchmark
import Formats
import Networks
import Runs
import Tensors

/// A network's state alone, and as the difference to the state one update before; digests, file and all, one thread.
func registerCheckpoints() {
  measure("checkpoint: encode") {
    try CheckpointSample()
  } body: { sample in
    try sample.encode()
  }
  measure("checkpoint: decode") {
    let sample = try CheckpointSample()
    try sample.encode()
    return sample
  } body: { sample in
    try sample.decode()
  }
  measure("checkpoint: encode a difference") {
    try CheckpointSample()
  } body: { sample in
    try sample.encodeDifference()
  }
  measure("checkpoint: decode a difference") {
    let sample = try CheckpointSample()
    try sample.encodeDifference()
    return sample
  } prepare: { sample in
    try sample.restoreParent()
  } body: { sample in
    try sample.decode()
  }
  // What no way to keep a state can go below: its digest, and a copy.
  measure("checkpoint: digest and copy") {
    try CheckpointSample()
  } body: { sample in
    try sample.digestAndCopy()
  }
}

/// An MLP 784-512-512-10 after two updates on noise.
private final class CheckpointSample {
  private let folder: ScratchFolder
  private var path: String { folder("state.ckpt") }
  private let parent: StateBuffer
  private let state: StateBuffer
  private let parentDigest: Digest
  private var decoded: StateBuffer

  init() throws {
    folder = try ScratchFolder()
    let work = try UpdateWork("mlp:512,512", inputShape: [784], batchSize: 32)
    try work.update()
    var parent = try StateBuffer(count: work.state.count)
    try parent.copy(from: work.state)
    try work.update()
    var state = try StateBuffer(count: work.state.count)
    try state.copy(from: work.state)
    parentDigest = try Digest(of: parent, updateCount: 1)
    decoded = try StateBuffer(count: state.count)
    self.parent = parent
    self.state = state
  }

  func encode() throws { try CheckpointFile.write(state, updateCount: 2, to: path) }

  func encodeDifference() throws {
    try CheckpointFile.write(state, updateCount: 2, parent: parent, parentDigest: parentDigest, to: path)
  }

  /// Over what is there: the parent, for a difference. Digests are compared.
  func decode() throws { try CheckpointFile.read(path, into: &decoded) }

  func restoreParent() throws { try decoded.copy(from: parent) }

  func digestAndCopy() throws {
    try decoded.copy(from: state)
    blackHole(try Digest(of: decoded, updateCount: 2))
  }
}
