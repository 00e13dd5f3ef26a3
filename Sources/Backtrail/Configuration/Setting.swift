import Runs
/// One setting of a run, with everything there is to say about it.
///
/// `Given` is what a user writes, `Value` what a run's configuration holds: `memory-budget` is given as the text `400MiB` and
/// held as a number of bytes, or as nil for any. Flags, keys of configuration files, stored configurations, the values that
/// `frontier --sweep` tries and the page of options all follow from this.
public final class Setting<Given: SettingInput, Value: Equatable & Sendable>: Sendable {
  /// The flag without its dashes, and the key of a configuration file.
  public let key: String
  /// The key in stored configurations.
  let storedKey: SettingKey
  let valueName: String?
  let help: String
  /// What the default is, in words; nil where its text says it.
  let usualWords: String?
  /// Which values are allowed, for messages and the page of options; nil for any of the input's kind.
  let allowed: String?
  /// Whether another value can change a bit of an iterate, or of what is observed of it.
  let changesBits: Bool
  /// The value where none is given, which may follow from other settings.
  let usual: @Sendable (RunConfiguration) -> Value
  /// Reads and checks what was given.
  let read: @Sendable (Given) throws -> Value
  /// What has to be given for a value; nil for nothing.
  let give: @Sendable (Value) -> Given?
  let stored: StoredForm<Value>
  /// Whether another setting decides the value, so that it is not to be given with it.
  let isImplied: @Sendable (RunConfiguration) -> Bool
  /// Values worth trying to see what the setting costs; nil where it is no setting.
  let ladder: (@Sendable (SweepMeasurement) -> [Value])?

  /// - Parameter storedAs: the key in stored configurations, where it is not the setting's own in camel case.
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

  /// `learning-rate` as `learningRate`.
  private static func camelCase(_ key: String) -> String {
    let words = key.split(separator: "-")
    return words[0] + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }
}

/// How a value stands in a stored configuration.
struct StoredForm<Value>: Sendable {
  /// Nil for a value that is not written.
  let encode: @Sendable (Value) -> (any Encodable)?
  let decode: @Sendable (KeyedDecodingContainer<SettingKey>, SettingKey) throws -> Value?

  init<Stored: Codable & SendableMetatype>(
    encoded: @escaping @Sendable (Value) -> Stored?, decoded: @escaping @Sendable (Stored) throws -> Value
  ) {
    encode = { encoded($0) }
    decode = { try $0.decodeIfPresent(Stored.self, forKey: $1).map(decoded) }
  }
}

/// A key of settings: in stored configurations, or as a user writes it.
struct SettingKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ key: String) { stringValue = key }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { return nil }
}

// MARK: - Settings of any type

/// A setting of the table, whatever its types are.
protocol AnySetting: Sendable {
  var key: String { get }
  var description: SettingDescription { get }
  /// Reads texts as what the setting is given as; nil where they are not of its kind.
  func input(_ texts: [String]) -> (any SettingInput)?
  /// What the setting is given as, for messages.
  var inputForm: String { get }
  /// Puts the value that `settings` give, if they give one, into a configuration.
  func fill(_ configuration: inout RunConfiguration, from settings: RunSettings) throws
  /// Puts the value of a stored configuration, if it has one, into another.
  func fill(_ configuration: inout RunConfiguration, from stored: KeyedDecodingContainer<SettingKey>) throws
  /// Puts the default into a configuration that has no value yet.
  func fillUsual(_ configuration: inout RunConfiguration)
  func encode(_ configuration: RunConfiguration, to container: inout KeyedEncodingContainer<SettingKey>) throws
  /// The texts that have to be given for what a configuration holds; empty where it holds the default.
  func texts(of configuration: RunConfiguration) -> [String]
  /// Values worth trying, as texts; nil where the setting is no setting.
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
    // What is read where nothing is held is the default.
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

/// What a user is told about a setting.
public struct SettingDescription: Sendable {
  /// The flag without its dashes, and the key of a configuration file.
  public let key: String
  /// What help calls the value; nil for the key.
  public let valueName: String?
  /// A sentence or a few, without the default.
  public let help: String
  /// What holds where the setting is not given; empty where that goes without saying.
  public let usual: String
  /// Which values are allowed, where the help does not say it; or empty.
  public let allowed: String
  /// Whether it takes several values.
  public let isList: Bool
  /// Whether another value can change a bit of an iterate, or of what is observed of it.
  public let changesBits: Bool
  /// Whether `frontier --sweep` tries values of it.
  public let isSwept: Bool

  /// The help with the default.
  public var helpWithDefault: String { usual.isEmpty ? help : "\(help) (default: \(usual))" }
}
