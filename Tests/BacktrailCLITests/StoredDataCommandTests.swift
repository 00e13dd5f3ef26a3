import Foundation
import Runs
import TestSupport
import Testing

/// Runs on data that stay in their files.
@Suite(.serialized) struct StoredDataCommandTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Writes a file that begins with `start` and goes on with zeros, which take no room on the disk.
  private func sparse(_ name: String, _ start: [UInt8] = [], size: Int) throws {
    let path = try folder.write(start, to: name)
    guard truncate(path, off_t(size)) == 0 else { throw POSIXError(.EIO) }
  }

  private func bigEndian(_ number: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) } }

  static let train = ["train", "--order", "backward", "--evaluate", "every:2", "--evaluation-examples", "8", "--batch-size", "4", "--json"]
  static let gpt = ["--model", "gpt:layers=1,heads=2,width=16,context=16"]

  /// Several GiB of tokens, and many of images, are trained on in the memory that a small data set takes.
  @Test func dataLargerThanTheBudgetAreNoFloor() throws {
    let size = 3 << 30
    try sparse("train.bin", size: size)
    try sparse("val.bin", size: 1 << 20)
    let pixels = 784, count = (runsAtLength ? size : 1 << 28) / 784
    try sparse("train-images-idx3-ubyte", [0, 0, 8, 3] + bigEndian(count) + [0, 0, 0, 28, 0, 0, 0, 28], size: 16 + count * pixels)
    try sparse("train-labels-idx1-ubyte", [0, 0, 8, 1] + bigEndian(count), size: 8 + count)
    try sparse("t10k-images-idx3-ubyte", [0, 0, 8, 3] + bigEndian(100) + [0, 0, 0, 28, 0, 0, 0, 28], size: 16 + 100 * pixels)
    try sparse("t10k-labels-idx1-ubyte", [0, 0, 8, 1] + bigEndian(100), size: 108)
    for (name, options) in [
      ("tokens", Self.gpt + ["--data", "tokens:\(folder.path),vocabulary=16"]),
      ("mnist", ["--model", "mlp:8", "--data", "mnist:\(folder.path)"]),
    ] {
      let run = folder(name)
      let command = try Command(Self.train + options + ["--steps", "4", "--memory-budget", "72MiB", "--out", run], in: folder.path)
      try #require(command.status == 0, "\(command.errors)")
      // VmHWM of the process, as it reports it itself.
      let peak = try #require(command.json["peakResidentBytes"] as? Int)
      #expect(peak < 72 << 20, "\(peak)")
    }
  }

  /// A file that shrinks ends the run with 74, and data that are not what they were are not trained on. With the file as
  /// it was, the run goes on.
  @Test func aFileThatShrinksIsAnInputError() throws {
    let size = 100 << 20
    try sparse("train.bin", size: size)
    try sparse("val.bin", size: 1 << 20)
    let (file, run) = (folder("train.bin"), folder("run"))
    var isShrunk = false
    let options = Self.gpt + ["--data", "tokens:\(folder.path),vocabulary=16", "--steps", "3000", "--checkpoint-every", "50"]
    let cut = try Command(Self.train + options + ["--out", run], in: folder.path) { _ in
      guard !isShrunk, let observations = try? StoredRun(run).observations(), !observations.isEmpty else { return }
      isShrunk = truncate(file, off_t(size / 64)) == 0
    }
    #expect(isShrunk && cut.status == 74, "\(cut.status): \(cut.errors)")
    #expect(cut.errors.contains(file) && cut.errors.contains("changed while it was in use"), "\(cut.errors)")
    let changed = try Command(["resume", run, "--json"], in: folder.path)
    #expect(changed.status == 65 && changed.errors.contains("the data set"), "\(changed.status): \(changed.errors)")
    try #require(truncate(file, off_t(size)) == 0)
    let resumed = try Command(["resume", run, "--json"], in: folder.path, stop: .after(seconds: 4, signal: SIGINT))
    #expect(resumed.status == 75, "\(resumed.status): \(resumed.errors)")
  }

  /// Without a tokenizer, texts are the numbers of tokens.
  @Test func tokensAreContinuedAsNumbers() throws {
    let tokens: [UInt8] = (0..<400).flatMap { [UInt8($0 % 5), 0] }
    try folder.write(tokens, to: "train.bin")
    try folder.write(tokens, to: "val.bin")
    let train = Self.train + Self.gpt + ["--data", "tokens:\(folder.path),vocabulary=16", "--steps", "2", "--out", folder("run")]
    let run = try Command(train, in: folder.path)
    try #require(run.status == 0, "\(run.errors)")
    let text = ["text", folder("run"), "--order", "backward", "--iterate", "2", "--length", "5"]
    let continued = try Command(text + ["--prompt", "1 2 3"], in: folder.path)
    try #require(continued.status == 0, "\(continued.errors)")
    let numbers = continued.output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    #expect(numbers.count == 8 && numbers.prefix(3) == [1, 2, 3] && numbers.allSatisfy { (0..<16).contains($0) }, "\(continued.output)")
    let fresh = try Command(text, in: folder.path)
    #expect(fresh.status == 0 && fresh.output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.count == 5, "\(fresh.output)")
    for prompt in ["16", "a", "-1"] { #expect(try Command(text + ["--prompt=\(prompt)"], in: folder.path).status == 78) }
    #expect(try Command(text + ["--prompt", "  "], in: folder.path).status == 0)
  }
}
