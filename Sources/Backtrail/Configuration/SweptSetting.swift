import Runs
/// A setting that affects the cost of a run, with the values to try.
public struct SweptSetting: Sendable {
  /// The key of the setting.
  public let name: String
  /// The values to try; empty for values that fit the run.
  public let values: [String]

  /// The keys of the settings that can be swept.
  public static let names = SettingsTable.descriptions.filter(\.isSwept).map(\.key)

  /// Reads a specification such as `checkpoint-every=100,1000`, or a key alone.
  public init(_ specification: String) throws(RunError) {
    let parts = specification.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    name = parts[0]
    values = parts.count == 2 ? parts[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init) : []
    guard Self.names.contains(name), !values.contains("") else {
      throw .usage(
        """
        `sweep` \(specification) is no setting with values; write one such as checkpoint-every=100,1000, a name alone, or all; there \
        are \(Self.names.joined(separator: ", "))
        """)
    }
  }

  private init(name: String) {
    (self.name, values) = (name, [])
  }

  /// All settings that can be swept, with values that fit the run.
  public static var all: [SweptSetting] { names.map { SweptSetting(name: $0) } }

  /// The values to try, given the cost of the run with the given settings.
  func values(of measurement: SweepMeasurement) -> [String] {
    values.isEmpty ? SettingsTable.byKey[name]?.ladder(measurement) ?? [] : values
  }
}

/// The cost of the run with the given settings, from which values worth trying are computed.
struct SweepMeasurement: Sendable {
  let steps: Int
  let peakBytes: Int
  let storedBytes: Int

  /// A share of a number of bytes, rounded down to whole KiB.
  func part(_ share: Double, of bytes: Int) -> Int { Int(Double(bytes) * share) & ~1023 }
}
