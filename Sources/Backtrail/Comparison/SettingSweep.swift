import Formats
import Foundation
import Replay
import Runs
import Tensors

/// What one value of a setting costs, measured with forward and backward order observed ten times.
public struct SettingPoint: Codable, Sendable {
  /// Empty for the run as asked.
  public let setting: String
  public let value: String
  public let gradientEvaluations: Int
  public let seconds: Double
  public let peakBytes: Int
  /// Of the run's folder.
  public let storedBytes: Int
  /// To bring an observed iterate back: the mean over them.
  public let recallEvaluations: Double
  /// |difference| of backward's loss to the run as asked, the mean over its observed n.
  public let lossError: Estimate
  /// Whether every iterate has the digest it has in the run as asked.
  public let hasSameBits: Bool
}

/// Trains a small run for each value of some settings, one after the other.
public struct SettingSweep: Sendable {
  /// Trains a run with these settings in a new folder. In a process of its own, or its memory is that of everything before it too.
  public typealias Training = @Sendable (_ settings: RunSettings, _ path: String) async throws -> RunResult

  private let settings: RunSettings
  private let train: Training
  /// Where runs are kept while they are measured.
  private let folder: String

  /// - Parameters:
  ///   - settings: of the run that is varied; its orders and schedule are replaced by smaller ones.
  ///   - run: its folder takes the small runs while they last.
  ///   - train: trains a small run in a process of its own.
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

  /// - Throws: `RunError.usage` where a value is none that the setting takes.
  public static func check(_ swept: [SweptSetting], of settings: RunSettings) throws {
    for setting in swept {
      for value in setting.values { _ = try RunConfiguration(settings.with(setting.name, value)) }
    }
  }

  /// - Parameters:
  ///   - swept: those whose values are tried, one after the other.
  ///   - didRefuse: told of values that the run can't be made with.
  /// - Returns: the run as asked first.
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
    // What can't be understood is said before a run is made for it.
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
    return Estimate(zip(curves(result), curves(asked)).map { mean($0.errors(against: $1, in: 1...Int.max)) })
  }

  private static func digests(_ result: RunResult) -> [[Digest]] { result.orders.map { $0.iterates.map(\.digest) } }
}

extension Run {
  /// Updates it takes to bring an observed iterate back from the nearest stored state, the mean over them.
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
