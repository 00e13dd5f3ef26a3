import Backtrail
import Runs

// What a run is called and how it learns, of any problem.
extension RunDescription {
  /// Problem and the settings that matter most.
  var title: String {
    let batch = problem.settings["batchSize"].map { ", batch \($0)" } ?? ""
    return shortName + batch + (learning.map { ", \($0)" } ?? "")
  }

  /// The problem without a path or a long list of options.
  var shortName: String {
    guard case .text(let model)? = problem.settings["model"], case .text(let data)? = problem.settings["data"] else { return problem.name }
    let isLong = data.contains("/") || data.count > 24
    return "\(model) on \(isLong ? String(data.prefix { $0 != ":" }) : data)"
  }

  /// Such as `learning rate 0.05`; nil for a problem without.
  var learning: String? { problem.settings["learningRate"].map { "learning rate \($0)" } }

  var isObservedByLogarithm: Bool { workload.evaluate.hasPrefix("log") || workload.evaluate.hasPrefix("auto") }

  /// The first metric, by which curves are compared.
  var loss: Metric { problem.metrics[0] }
}
