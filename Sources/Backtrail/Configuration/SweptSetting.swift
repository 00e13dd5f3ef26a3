import Runs
/// One setting that changes what a run costs, with the values that are tried.
public struct SweptSetting: Sendable {
  /// The setting's key.
  public let name: String
  /// Empty for a ladder that fits the run.
  public let values: [String]

  /// The settings of the table that have a ladder.
  public static let names = SettingsTable.descriptions.filter(\.isSwept).map(\.key)

  /// Reads `checkpoint-every=100,1000`, or a name alone.
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

  /// Each with a ladder that fits the run.
  public static var all: [SweptSetting] { names.map { SweptSetting(name: $0) } }

  /// The values that are tried of a run that cost so much.
  func values(of measurement: SweepMeasurement) -> [String] {
    values.isEmpty ? SettingsTable.byKey[name]?.ladder(measurement) ?? [] : values
  }
}

/// What the run as asked came to, from which the values follow that are worth trying.
struct SweepMeasurement: Sendable {
  let steps: Int
  let peakBytes: Int
  let storedBytes: Int

  /// A share of some bytes, in whole KiB.
  func part(_ share: Double, of bytes: Int) -> Int { Int(Double(bytes) * share) & ~1023 }
}
