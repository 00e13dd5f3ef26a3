import Runs
/// One setting of a run with everything that is known about it.
///
/// `Given` is the type that a user writes and `Value` the type in a run's configuration: `memory-budget` is given as
/// the text `400MiB` and stored as a number of bytes, or as nil for no limit. Options of the command, keys of
/// configuration files, stored configurations, the values that `frontier --sweep` tries and the page of options all
/// follow from it.
public final class Setting<Given: SettingInput, Value: Equatable & Sendable>: Sendable {
  /// The name of the option without its dashes, and the key in a configuration file.
  public let key: String
  /// The key in stored configurations.
  let storedKey: SettingKey
  let valueName: String?
  let help: String
  /// The default in words; nil if the text of the default value says enough.
  let usualWords: String?
  /// The allowed values in words, for messages and the page of options; nil for all values of the input's kind.
  let allowed: String?
  /// Whether the setting can change a bit of an iterate, or of an observation of it.
  let changesBits: Bool
  /// The default value, which may depend on other settings.
  let usual: @Sendable (RunConfiguration) -> Value
  /// Reads and checks what was given.
  let read: @Sendable (Given) throws -> Value
  /// The input that gives a value; nil if the setting must be left out for it.
  let give: @Sendable (Value) -> Given?
  let stored: StoredForm<Value>
  /// Whether another setting determines the value, so that this one must not be given with it.
  let isImplied: @Sendable (RunConfiguration) -> Bool
  /// The values worth trying to see the setting's effect on cost; nil if the setting is not swept.
  let ladder: (@Sendable (SweepMeasurement) -> [Value])?

  /// - Parameter storedAs: The key in stored configurations, if it is not the setting's own key in camel case.
  init(
    _ key: String, storedAs: String? = nil, valueName: String? = nil, changesBits: Bool, help: String, usual words: String? = nil,
    allowed: String? = nil, default usual: @escaping @Sendable (RunConfiguration) -> Value,
    read: @escaping @Sendable (Given) throws -> Value, give: @escaping @Sendable (Value) -> Given?,
    stored: StoredForm<Value>? = nil, isImplied: @escaping @Sendable (RunConfiguration) -> Bool = { _ in false },
    ladder: (@Sendable (SweepMeasurement) -> [Value])? = nil
  ) {
    self.key = key
    storedKey = SettingKey(storedAs ?? Self.camelCase(key))
    self.valueName = valueName
    self.changesBits = changesBits
    self.help = help
    self.allowed = allowed
    usualWords = words
    self.usual = usual
    self.read = read
    self.give = give
    self.stored = stored ?? StoredForm(encoded: { give($0) }, decoded: { (given: Given) in try read(given) })
    self.isImplied = isImplied
    self.ladder = ladder
  }

  /// The key in camel case: `learningRate` for `learning-rate`.
  private static func camelCase(_ key: String) -> String {
    let words = key.split(separator: "-")
    return words[0] + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }
}

/// The form of a value in a stored configuration.
struct StoredForm<Value>: Sendable {
  /// Encodes a value; nil for a value that is not stored.
  let encode: @Sendable (Value) -> (any Encodable)?
  let decode: @Sendable (KeyedDecodingContainer<SettingKey>, SettingKey) throws -> Value?

  init<Stored: Codable & SendableMetatype>(
    encoded: @escaping @Sendable (Value) -> Stored?, decoded: @escaping @Sendable (Stored) throws -> Value
  ) {
    encode = { encoded($0) }
    decode = { try $0.decodeIfPresent(Stored.self, forKey: $1).map(decoded) }
  }
}

/// A key of a setting, in stored configurations or as a user writes it.
struct SettingKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ key: String) { stringValue = key }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { return nil }
}

// MARK: - Settings of any type

/// A setting of the table, of any type.
protocol AnySetting: Sendable {
  var key: String { get }
  var description: SettingDescription { get }
  /// Reads texts as the setting's input; nil if they are not of its kind.
  func input(_ texts: [String]) -> (any SettingInput)?
  /// The form of the setting's input, for messages.
  var inputForm: String { get }
  /// Stores the value that `settings` give in a configuration, if they give one.
  func fill(_ configuration: inout RunConfiguration, from settings: RunSettings) throws
  /// Stores the value of a stored configuration in another configuration, if there is one.
  func fill(_ configuration: inout RunConfiguration, from stored: KeyedDecodingContainer<SettingKey>) throws
  /// Stores the default in a configuration that has no value yet.
  func fillUsual(_ configuration: inout RunConfiguration)
  func encode(_ configuration: RunConfiguration, to container: inout KeyedEncodingContainer<SettingKey>) throws
  /// The texts that must be given for the value of a configuration; empty if it is the default.
  func texts(of configuration: RunConfiguration) -> [String]
  /// The values worth trying, as texts; nil if the setting is not swept.
  func ladder(_ measurement: SweepMeasurement) -> [String]?
}

extension Setting: AnySetting {
  func input(_ texts: [String]) -> (any SettingInput)? { Given(settingTexts: texts) }

  var inputForm: String { Given.settingForm }

  func fill(_ configuration: inout RunConfiguration, from settings: RunSettings) throws {
    if let given = settings[self] { configuration[self] = try read(given) }
  }

  func fill(_ configuration: inout RunConfiguration, from container: KeyedDecodingContainer<SettingKey>) throws {
    if let value = try stored.decode(container, storedKey) { configuration[self] = value }
  }

  func fillUsual(_ configuration: inout RunConfiguration) {
    // Reading a setting without a stored value gives its default.
    configuration[self] = configuration[self]
  }

  func encode(_ configuration: RunConfiguration, to container: inout KeyedEncodingContainer<SettingKey>) throws {
    if let value = stored.encode(configuration[self]) { try container.encode(value, forKey: storedKey) }
  }

  func texts(of configuration: RunConfiguration) -> [String] {
    let value = configuration[self]
    return value == usual(configuration) || isImplied(configuration) ? [] : give(value)?.settingTexts ?? []
  }

  func ladder(_ measurement: SweepMeasurement) -> [String]? {
    ladder.map { $0(measurement).flatMap { give($0)?.settingTexts ?? [] } }
  }

  var description: SettingDescription {
    let usualTexts = give(usual(RunConfiguration()))?.settingTexts ?? []
    return SettingDescription(
      key: key, valueName: valueName, help: help, usual: usualWords ?? usualTexts.joined(separator: ", "),
      allowed: allowed ?? (Given.self == Double.self || Given.self == Int.self ? Given.settingForm : ""), isList: Given.isList,
      changesBits: changesBits, isSwept: ladder != nil)
  }
}

/// The description of a setting for users.
public struct SettingDescription: Sendable {
  /// The name of the option without its dashes, and the key in a configuration file.
  public let key: String
  /// The name of the value in help; nil if it is the key.
  public let valueName: String?
  /// A sentence or a few, without the default.
  public let help: String
  /// The default in words; empty if it needs no mention.
  public let usual: String
  /// The allowed values, if the help does not name them; otherwise empty.
  public let allowed: String
  /// Whether the setting takes several values.
  public let isList: Bool
  /// Whether the setting can change a bit of an iterate, or of an observation of it.
  public let changesBits: Bool
  /// Whether `frontier --sweep` tries values of the setting.
  public let isSwept: Bool

  /// The help, followed by the default.
  public var helpWithDefault: String { usual.isEmpty ? help : "\(help) (default: \(usual))" }
}
