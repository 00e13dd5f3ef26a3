import ArgumentParser
import Backtrail
import Runs

/// The options that describe a run, for `train`, `plan` and `frontier`: one for each setting of the table.
///
/// The parser finds options by mirroring an instance's children, and reads their values under the same names. So the
/// mirror shows an option for each setting, and a new setting has its flag without a change here.
struct RunOptions: ParsableArguments, CustomReflectable {
  /// The settings given as flags, without those of the file.
  private var flags = RunSettings()
  private var config: String?

  init() {}

  init(from decoder: any Decoder) throws {
    let options = try decoder.container(keyedBy: OptionKey.self)
    config = try options.decode(Option<String?>.self, forKey: .config).wrappedValue
    for setting in SettingsTable.descriptions {
      let given = try options.decode(Option<[GivenSetting]>.self, forKey: OptionKey(setting.key)).wrappedValue
      // If a setting is not a list, the last value given is used.
      guard let texts = setting.isList ? given.map(\.text) : given.last.map({ [$0.text] }), !texts.isEmpty else { continue }
      flags = flags.completed(by: try RunSettings(setting.key, texts))
    }
  }

  var customMirror: Mirror {
    let settings = SettingsTable.descriptions.map { (label: $0.key, value: Self.option($0) as Any) }
    let file = Option<String?>(help: "A YAML file with these options as keys, without the dashes; flags come before it.")
    return Mirror(self, children: settings + [(label: OptionKey.config.stringValue, value: file as Any)])
  }

  private static func option(_ setting: SettingDescription) -> Option<[GivenSetting]> {
    Option(
      wrappedValue: [], help: ArgumentHelp("\(setting.helpWithDefault)", valueName: setting.valueName),
      transform: { try GivenSetting($0, of: setting) })
  }

  /// The configuration: flags take precedence over the file, and the file over defaults.
  func configuration() throws -> RunConfiguration { try RunConfiguration(settings()) }

  /// The settings: flags take precedence over the file.
  func settings() throws -> RunSettings {
    guard let config else { return flags }
    return flags.completed(by: try RunSettings(configurationFile: config))
  }
}

/// A text that was checked against its setting while parsing, so that the parser can name the flag in an error.
private struct GivenSetting {
  let text: String

  init(_ text: String, of setting: SettingDescription) throws {
    _ = try RunSettings(setting.key, [text])
    self.text = text
  }
}

private struct OptionKey: CodingKey {
  static let config = OptionKey("config")

  let stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) { stringValue = name }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { return nil }
}
