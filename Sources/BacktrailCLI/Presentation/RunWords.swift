import Backtrail
import Runs

// Titles and descriptions of runs of any problem.
extension RunDescription {
  /// The problem and its most important settings.
  var title: String {
    let batch = problem.settings["batchSize"].map { ", batch \($0)" } ?? ""
    return shortName + batch + (learning.map { ", \($0)" } ?? "")
  }

  /// The name of the problem without a path or a long list of options.
  var shortName: String {
    guard isOfTheCommand, case .text(let model)? = problem.settings["model"],
      case .text(let data)? = problem.settings["data"]
    else { return problem.name }
    let isLong = data.contains("/") || data.count > 24
    return "\(model) on \(isLong ? String(data.prefix { $0 != ":" }) : data)"
  }

  /// The learning rate in words, such as `learning rate 0.05`; nil for a problem without one.
  var learning: String? { problem.settings["learningRate"].map { "learning rate \($0)" } }

  var isObservedByLogarithm: Bool { workload.evaluate.hasPrefix("log") || workload.evaluate.hasPrefix("auto") }

  /// Whether the command can make its problem again.
  var isOfTheCommand: Bool { problem.kind == NetworkProblem.kindOfSettings }

  /// The first metric, by which curves are compared.
  var loss: Metric { problem.metrics[0] }
}
