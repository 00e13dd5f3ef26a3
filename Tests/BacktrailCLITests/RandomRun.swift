import Foundation
import TestSupport

/// The options of a small run of any kind, always the same for the same number.
struct RandomRun {
  let train: [String]
  let steps: Int
  let storesCheckpoints: Bool
  let usesOpenBLAS: Bool

  /// Writes the data sets of random runs into a folder.
  static func writeData(into folder: TemporaryFolder) throws {
    try folder.write(String(repeating: "in reverse order, batches, ", count: 200), to: "text.txt")
    try FileManager.default.createDirectory(atPath: folder("images"), withIntermediateDirectories: true)
    for (name, count) in [("train", 64), ("t10k", 32)] {
      // An IDX file: the magic number, extents, bytes.
      let pixels = (0..<count * 144).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 3) }
      try folder.write([0, 0, 8, 3, 0, 0, 0, UInt8(count), 0, 0, 0, 12, 0, 0, 0, 12] + pixels, to: "images/\(name)-images-idx3-ubyte")
      try folder.write([0, 0, 8, 1, 0, 0, 0, UInt8(count)] + (0..<count).map { UInt8($0 % 10) }, to: "images/\(name)-labels-idx1-ubyte")
    }
  }

  init(_ number: Int, in folder: TemporaryFolder) {
    var random = SplitMix(state: UInt64(number))
    let model: (name: String, data: String, steps: Int) =
      [
        ("linear", "digits", 400), ("mlp:128", "digits", 120), ("mlp:512,512", "digits", 24), ("lenet", "mnist:\(folder("images"))", 12),
        ("gpt:layers=1,heads=2,width=16,context=16", "text:\(folder("text.txt"))", 12), ("resnet18:4", "digits", 4),
      ][number % 6]
    let orders = ["forward", "backward", "tail:5", "splice:4", "window:3", "sliding:2", "blocks:4", "flipflop:3", "reshuffled:7", "paired:5", "random-order:2"].shuffled(using: &random)
    let chosen = Array(orders.prefix(1 + Int.random(in: 0...2, using: &random)))
    let steps = max(2, model.steps / Int.random(in: 1...3, using: &random))
    let every = chosen.contains("backward") ? max(1, steps / 12) : Bool.random(using: &random) ? 1 : max(1, steps / 7)
    let interval = [0, 1000, max(1, steps / 10)].randomElement(using: &random) ?? 0
    let chain = interval > 0 && Bool.random(using: &random) ? 3 : 0
    // Each model with both.
    let products = number / 6 % 2 == 1 ? ["--products", "openblas"] : []
    let average = Bool.random(using: &random) ? ["--average", "none"] : []
    self.steps = steps
    storesCheckpoints = interval > 0
    usesOpenBLAS = !products.isEmpty
    train =
      ["--model", model.name, "--data", model.data] + chosen.flatMap { ["--order", $0] } + average + products + [
        "--evaluate", "every:\(every)", "--seeds", "\([1, 1, 2, 5].randomElement(using: &random) ?? 1)",
        "--lanes", "\(Int.random(in: 1...3, using: &random))", "--checkpoint-every", "\(interval)", "--checkpoint-chain", "\(chain)",
        "--evaluation-examples", "8", "--evaluation-batch-size", "8", "--batch-size", "8",
      ]
  }
}

extension Command {
  /// The least budget in MiB that a refusal names; nil if it names none.
  var leastBudget: Int? { errors.firstMatch(of: /can do with is (\d+)MiB/).flatMap { Int($0.1) } }
}
