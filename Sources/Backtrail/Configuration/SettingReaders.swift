import Foundation
import Networks
import Replay
import Storage

// How settings are read whose texts take more than a range.

/// Paths are kept absolute, so that a run can be replayed from any folder.
private func withAbsolutePath(_ specification: String) throws(RunError) -> String {
  guard let path = filePath(in: specification) else { return specification }
  guard !path.isEmpty else { throw .usage("'\(specification)' names no file; put its path after the colon") }
  return "file:" + URL(fileURLWithPath: path).standardizedFileURL.path
}

func orderSpecifications(_ texts: [String]) throws -> [String] {
  guard !texts.isEmpty else {
    throw RunError.usage("no composition order is given; add `order`, such as backward")
  }
  var names: [String] = []
  return try texts.map { text in
    let request = OrderRequest(text)
    let name = try withAbsolutePath(request.order)
    guard !names.contains(name) else { throw RunError.usage("`order` \(name) is given twice; give it once") }
    names.append(name)
    if filePath(in: name) == nil, request.automaticFamily == nil { _ = try CompositionOrder(name) }
    return name + (request.ownSchedule.map { "@\($0)" } ?? "")
  }
}

func samplerSpecification(_ text: String) throws(RunError) -> String {
  let sampler = try withAbsolutePath(text)
  guard ["shuffle", "replacement"].contains(sampler) || filePath(in: sampler) != nil else {
    throw .usage("no sampler is called '\(text)'; there are shuffle, replacement and file:PATH")
  }
  return sampler
}

/// Running averages as they are given; `none` stands for no average.
func averageRules(_ texts: [String]) throws(RunError) -> [AverageRule] {
  if texts == ["none"] { return [] }
  var rules: [AverageRule] = []
  for text in texts {
    guard text != "none" else { throw .usage("`average` none can't be given with other averages; leave out one or the other") }
    let rule: AverageRule
    do throws(AverageError) {
      rule = try AverageRule(text)
    } catch {
      throw .usage("`average`: \(error), none")
    }
    guard !rules.contains(rule) else { throw .usage("`average` \(text) is given twice; give it once") }
    rules.append(rule)
  }
  return rules
}

func scheduleIndexNamed(_ name: String) throws(RunError) -> LearningRateSchedule.Index {
  guard let index = LearningRateSchedule.Index(rawValue: name) else {
    throw .usage("`schedule-index` is '\(name)', but must be position or batch")
  }
  return index
}

func precisionNamed(_ name: String) throws(RunError) -> CheckpointPrecision {
  guard let precision = CheckpointPrecision(name: name) else {
    throw .usage("`start-precision` is '\(name)', but must be float32, bfloat16 or float16")
  }
  return precision
}

let usualLoss = "cross-entropy"

func lossSpecification(_ text: String) throws(RunError) -> String {
  let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
  let number = parts.count == 2 ? Double(parts[1]) : nil
  let isKnown =
    switch parts[0] {
    case "cross-entropy": parts.count == 1 || number.map { $0 >= 0 && $0 < 1 } ?? false
    case "huber": parts.count == 1 || number.map { $0 > 0 && $0.isFinite } ?? false
    case "mse", "binary-cross-entropy": parts.count == 1
    default: false
    }
  guard isKnown else {
    throw .usage(
      """
      `loss` is '\(text)', but must be cross-entropy, cross-entropy:SMOOTHING with a smoothing from 0 to below 1, mse, huber, huber:δ \
      with a positive δ, or binary-cross-entropy
      """)
  }
  return text
}

extension RunConfiguration {
  /// Reads a budget in bytes; nil for none.
  static func bytes(_ setting: String, _ text: String?) throws(RunError) -> Int? {
    guard let text else { return nil }
    guard let bytes = byteCount(text), bytes > 0 else {
      throw .usage("`\(setting)` is '\(text)', but must be a size such as 500MiB or 2GiB")
    }
    return bytes
  }
}

/// Reads a size such as `500MiB`, `2GiB`, `64KiB` or a plain number of bytes.
func byteCount(_ text: String) -> Int? {
  let units = ["KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
  let unit = units.first { text.hasSuffix($0.key) }
  guard let number = Double(text.dropLast(unit?.key.count ?? 0)), number >= 0, number < 1e6 || unit == nil else {
    return nil
  }
  return Int(exactly: (number * Double(1 << (unit?.value ?? 0))).rounded())
}

/// A size as `byteCount(_:)` reads it, without loss.
func sizeText(_ bytes: Int) -> String {
  for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes % (1 << shift) == 0 { return "\(bytes >> shift)\(unit)" }
  return String(bytes)
}
