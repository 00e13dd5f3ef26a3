import Runs
/// A type of value that a setting can be given as, on a command line or in a configuration file: a text, several
/// texts, a whole number or a number.
///
/// The type of the setting determines how a text is read, not the appearance of the text, so `010` and `190:20` are
/// never read as numbers in another base.
public protocol SettingInput: Codable, Equatable, Sendable {
  /// Reads the texts given for a setting; nil if they are not of this kind.
  init?(settingTexts: [String])
  /// The texts that give this value.
  var settingTexts: [String] { get }
  /// The accepted form in words, for messages.
  static var settingForm: String { get }
  /// Whether a value may consist of several texts.
  static var isList: Bool { get }
}

extension SettingInput {
  public static var isList: Bool { false }
}

extension String: SettingInput {
  public init?(settingTexts: [String]) {
    guard settingTexts.count == 1 else { return nil }
    self = settingTexts[0]
  }

  public var settingTexts: [String] { [self] }
  public static var settingForm: String { "a single text" }
}

extension [String]: SettingInput {
  public init?(settingTexts: [String]) { self = settingTexts }
  public var settingTexts: [String] { self }
  public static var settingForm: String { "one text or several" }
  public static var isList: Bool { true }
}

extension Int: SettingInput {
  /// Reads a whole number. Leading zeros are refused, since some readers of YAML take them for base 8 and others do
  /// not.
  public init?(settingTexts: [String]) {
    guard settingTexts.count == 1, let number = Int(settingTexts[0]), String(number) == settingTexts[0] else { return nil }
    self = number
  }

  public var settingTexts: [String] { [String(self)] }
  public static var settingForm: String { "a whole number in plain digits, without zeros before it, such as 10" }
}

extension Double: SettingInput {
  public init?(settingTexts: [String]) {
    guard settingTexts.count == 1, let text = settingTexts.first,
      text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), let number = Double(text), number.isFinite,
      !text.drop(while: { $0 == "-" || $0 == "+" }).hasPrefix("0") || number.magnitude < 1
    else { return nil }
    self = number
  }

  public var settingTexts: [String] { [description] }
  public static var settingForm: String { "a number, such as 0.05 or 1e-3" }
}
