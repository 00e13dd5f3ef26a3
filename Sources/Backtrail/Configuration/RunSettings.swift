import Runs
/// Settings as a user gives them: options of the command line or keys of a configuration file. There is a property
/// for each setting of the table, such as `steps` or `learningRate`; nil means that the setting is not given.
@dynamicMemberLookup
public struct RunSettings: Sendable {
  private var given: [String: any SettingInput] = [:]

  public init() {}

  /// Reads one setting.
  /// - Parameters:
  ///   - key: The key of the setting, such as `learning-rate`.
  ///   - texts: The texts given for it, of which only lists may have several.
  /// - Throws: `RunError.usage`, saying what form the value must have, or which settings there are.
  public init(_ key: String, _ texts: [String]) throws(RunError) {
    guard let setting = SettingsTable.byKey[key] else {
      throw .usage("there is no setting '\(key)'; there are \(Self.keys.joined(separator: ", "))")
    }
    if let right = set(setting, to: texts) { throw .usage("it must be \(right)") }
  }

  public subscript<Given, Value>(dynamicMember path: KeyPath<SettingsTable, Setting<Given, Value>>) -> Given? {
    get { self[SettingsTable.shared[keyPath: path]] }
    set { self[SettingsTable.shared[keyPath: path]] = newValue }
  }

  subscript<Given, Value>(setting: Setting<Given, Value>) -> Given? {
    get { given[setting.key] as? Given }
    set { given[setting.key] = newValue }
  }

  /// Sets a setting to the given texts.
  /// - Returns: The form that the value must have, for a message; nil if the texts have it.
  mutating func set(_ setting: any AnySetting, to texts: [String]) -> String? {
    guard let input = setting.input(texts) else { return setting.inputForm }
    given[setting.key] = input
    return nil
  }

  /// The keys of all settings, in the table's order.
  static var keys: [String] { SettingsTable.all.map(\.key) }

  /// These settings, completed by those of `others` that are not given here.
  public func completed(by others: RunSettings) -> RunSettings {
    var settings = self
    settings.given.merge(others.given) { own, _ in own }
    return settings
  }

  /// These settings with one changed to a value as it is given on the command line.
  /// - Throws: `RunError.usage` if the setting does not accept the text.
  func with(_ key: String, _ text: String) throws(RunError) -> RunSettings {
    var changed = self
    guard let setting = SettingsTable.byKey[key], changed.set(setting, to: [text]) == nil else {
      throw .usage("`sweep` \(key)=\(text): '\(text)' is not what `\(key)` takes")
    }
    return changed
  }
}

extension RunSettings: Equatable {
  public static func == (first: RunSettings, second: RunSettings) -> Bool {
    first.given.mapValues(\.settingTexts) == second.given.mapValues(\.settingTexts)
  }
}

/// Settings in the form of a configuration file.
extension RunSettings: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: SettingKey.self)
    for key in Self.keys {
      if let value = given[key] { try container.encode(value, forKey: SettingKey(key)) }
    }
  }
}
