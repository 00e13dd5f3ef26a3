import Foundation
import Replay
import Formats
import Runs
import Tensors

// Readers of settings whose texts need more checks than a range.

/// Paths are stored as absolute paths, so that a run can be replayed from any folder.
private func withAbsolutePath(_ specification: String) throws(RunError) -> String {
  guard let path = OrderFile.path(in: specification) else { return specification }
  guard !path.isEmpty else { throw .usage("'\(specification)' names no file; put its path after the colon") }
  return "file:" + URL(fileURLWithPath: path).standardizedFileURL.path
}

func orderSpecifications(_ texts: [String]) throws -> [String] {
  guard !texts.isEmpty else {
    throw RunError.usage("no composition order is given; add `order`, such as backward")
  }
  var names: [String] = []
  let each = try texts.flatMap { text in
    let (order, schedule) = ObservedOrder.parts(of: text)
    return try CompositionOrder.specifications(order).map { ($0, schedule) }
  }
  return try each.map { order, schedule in
    let name = try withAbsolutePath(order)
    guard !names.contains(name) else { throw RunError.usage("`order` \(name) is given twice; give it once") }
    names.append(name)
    let observed = name + (schedule.map { "@\($0)" } ?? "")
    // The contents of order files are read later.
    if OrderFile.path(in: name) == nil { _ = try ObservedOrder(observed) } else { _ = try schedule.map { try EvaluationSchedule($0) } }
    return observed
  }
}

func samplerSpecification(_ text: String) throws(RunError) -> String {
  let sampler = try withAbsolutePath(text)
  guard ["shuffle", "replacement"].contains(sampler) || OrderFile.path(in: sampler) != nil else {
    throw .usage("no sampler is called '\(text)'; there are shuffle, replacement and file:PATH")
  }
  return sampler
}

/// Reads running averages; `none` stands for no average.
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

func memoryBudgetNamed(_ text: String) throws(RunError) -> MemoryBudget {
  guard let budget = MemoryBudget(text) else {
    throw .usage("`memory-budget` is '\(text)', but must be a size such as 500MiB or 2GiB, or auto")
  }
  return budget
}

let usualLoss = "cross-entropy"

func lossSpecification(_ text: String) throws(RunError) -> String {
  _ = try LossSpecification.loss(text)
  return text
}

extension RunConfiguration {
  /// Reads a budget in bytes; nil for no limit.
  static func bytes(_ setting: String, _ text: String?) throws(RunError) -> Int? {
    guard let text else { return nil }
    guard let bytes = ByteCount(text)?.bytes, bytes > 0 else {
      throw .usage("`\(setting)` is '\(text)', but must be a size such as 500MiB or 2GiB")
    }
    return bytes
  }
}
