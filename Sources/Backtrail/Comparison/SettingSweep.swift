import Formats
import Foundation
import Replay
import Runs
import Tensors

/// The cost of one value of a setting, measured with forward and backward orders observed ten times.
public struct SettingPoint: Codable, Sendable {
  /// The setting's key; empty for the run with the given settings.
  public let setting: String
  public let value: String
  public let gradientEvaluations: Int
  public let seconds: Double
  public let peakBytes: Int
  /// The size of the run's folder.
  public let storedBytes: Int
  /// The gradient evaluations for recalling an observed iterate, on average over all of them.
  public let recallEvaluations: Double
  /// The absolute difference of backward's loss from that of the run with the given settings, on average over the
  /// observed n.
  public let lossError: Estimate
  /// Whether every iterate has the same digest as in the run with the given settings.
  public let hasSameBits: Bool
}

/// Trains a small run for each value of some settings, one after the other.
public struct SettingSweep: Sendable {
  /// Trains a run with these settings in a new folder. It should use a process of its own, since the peak memory
  /// would otherwise include everything done before.
  public typealias Training = @Sendable (_ settings: RunSettings, _ path: String) async throws -> RunResult

  private let settings: RunSettings
  private let train: Training
  /// The folder for the runs while they are measured.
  private let folder: String

  /// - Parameters:
  ///   - settings: The settings of the run that is varied. Its orders and schedule are replaced by smaller ones.
  ///   - run: The run whose folder holds the small runs temporarily.
  public init(_ settings: RunSettings, beside run: NetworkRun, train: @escaping Training) {
    var small = settings
    let steps = run.workload.steps
    small.orders = [CompositionOrder.forward, .backward].map(\.description)
    small.steps = steps
    small.evaluate = EvaluationSchedule.every(max(1, steps / 10)).description
    small.costBudget = nil
    self.settings = small
    self.train = train
    folder = run.folder.sweepPath
  }

  /// - Throws: `RunError.usage` if a setting does not accept one of its values.
  public static func check(_ swept: [SweptSetting], of settings: RunSettings) throws {
    for setting in swept {
      for value in setting.values { _ = try RunConfiguration(settings.with(setting.name, value)) }
    }
  }

  /// - Parameter didRefuse: Called with a message about each value that a run can't be made with.
  /// - Returns: The points; the first is that of the run with the given settings.
  public func measure(_ swept: [SweptSetting], didRefuse: (String) -> Void) async throws -> [SettingPoint] {
    // Two sweeps of one run would remove each other's runs.
    let lock = try RunLock(RunFolder(path: URL(fileURLWithPath: folder).deletingLastPathComponent().path))
    defer { lock.hold() }
    try? FileManager.default.removeItem(atPath: folder)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let asked = try await measure(settings, setting: "", value: "", against: nil)
    var points = [asked.point]
    let cost = SweepMeasurement(steps: settings.steps ?? 1, peakBytes: asked.point.peakBytes, storedBytes: asked.point.storedBytes)
    for setting in swept {
      for value in setting.values(of: cost) {
        do {
          let varied = try settings.with(setting.name, value)
          points.append(try await measure(varied, setting: setting.name, value: value, against: asked.result).point)
        } catch let error as RunError {
          guard case .impossible(let reason) = error else { throw error }
          didRefuse("`\(setting.name)` \(value): \(reason)")
        }
      }
    }
    return points
  }

  private func measure(
    _ settings: RunSettings, setting: String, value: String, against asked: RunResult?
  ) async throws -> (point: SettingPoint, result: RunResult) {
    // Invalid values are reported before a run is made for them.
    _ = try RunConfiguration(settings)
    let path = "\(folder)/\(setting)-\(value)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let result = try await train(settings, path)
    let run = try NetworkRun.open(path)
    let point = SettingPoint(
      setting: setting, value: value, gradientEvaluations: result.gradientEvaluations, seconds: result.wallSeconds,
      peakBytes: result.peakResidentBytes, storedBytes: run.folder.byteCount, recallEvaluations: try run.meanRecallEvaluations(),
      lossError: Self.lossError(result, asked ?? result), hasSameBits: Self.digests(result) == Self.digests(asked ?? result))
    return (point, result)
  }

  private static func lossError(_ result: RunResult, _ asked: RunResult) -> Estimate {
    func curves(_ result: RunResult) -> [Curve] {
      result.orders.filter { $0.series == .backward }.map { Curve($0.iterates.map { ($0.n, $0.measurements.loss) }) }
    }
    // Seeds for which backward has diverged in one of them say nothing.
    let pairs = zip(curves(result), curves(asked)).filter { !$0.points.isEmpty && !$1.points.isEmpty }
    return Estimate(pairs.map { mean($0.errors(against: $1, in: 1...Int.max)) })
  }

  private static func digests(_ result: RunResult) -> [[Digest]] { result.orders.map { $0.iterates.map(\.digest) } }
}

extension Run {
  /// The updates needed to recall an observed iterate from the nearest stored state, on average over all of them.
  func meanRecallEvaluations() throws -> Double {
    var counts: [Double] = []
    for records in try storedStates() {
      let stored = try StoredStates(records, in: self)
      for (order, points) in specification.selection.curves {
        counts += try points.map { Double(try recallCost(of: order, $0, from: stored)) }
      }
    }
    return mean(counts)
  }
}
