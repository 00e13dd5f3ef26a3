import Runs
// Makes settings of the usual kinds.

extension Setting where Given == Int, Value == Int {
  /// Makes a setting that is a whole number in a range.
  static func whole(
    _ key: String, _ range: ClosedRange<Int>, storedAs: String? = nil, valueName: String? = nil, changesBits: Bool, help: String,
    usual words: String? = nil, default usual: @autoclosure @escaping @Sendable () -> Int,
    ladder: (@Sendable (SweepMeasurement) -> [Int])? = nil
  ) -> Setting {
    Setting(
      key, storedAs: storedAs, valueName: valueName, changesBits: changesBits, help: help, usual: words, allowed: range.words,
      default: { _ in usual() }, read: { try range.checked($0, key) }, give: { $0 }, ladder: ladder)
  }
}

extension Setting where Given == Int, Value == Int? {
  /// Makes a setting that is a whole number in a range, or nil if none is given.
  static func optionalWhole(
    _ key: String, _ range: ClosedRange<Int>, valueName: String? = nil, changesBits: Bool, help: String, usual words: String,
    default usual: @escaping @Sendable (RunConfiguration) -> Int? = { _ in nil },
    isImplied: @escaping @Sendable (RunConfiguration) -> Bool = { _ in false }
  ) -> Setting {
    Setting(
      key, valueName: valueName, changesBits: changesBits, help: help, usual: words, allowed: range.words, default: usual,
      read: { try range.checked($0, key) }, give: { $0 }, isImplied: isImplied)
  }
}

extension ClosedRange<Int> {
  fileprivate var words: String { "a whole number from \(lowerBound) to \(upperBound)" }

  fileprivate func checked(_ number: Int, _ key: String) throws(RunError) -> Int {
    guard contains(number) else { throw .usage("`\(key)` is \(number), but must be \(words)") }
    return number
  }
}

extension Setting where Given == Double, Value == Double {
  /// Makes a setting that is a positive number.
  /// - Parameter allowed: The allowed values in words.
  static func positive(
    _ key: String, changesBits: Bool, help: String, allowed: String, default usual: Double,
    isAllowed: @escaping @Sendable (Double) -> Bool = { _ in true }
  ) -> Setting {
    Setting(
      key, changesBits: changesBits, help: help, allowed: allowed, default: { _ in usual },
      read: { number in
        guard number.isFinite, number > 0, isAllowed(number) else {
          throw RunError.usage("`\(key)` is \(number), but must be \(allowed)")
        }
        return number
      }, give: { $0 })
  }
}

extension Setting where Given == Double, Value == Double? {
  /// Makes a setting that is a positive number, or nil if none is given.
  /// - Parameter allowed: The allowed values in words.
  static func optionalPositive(_ key: String, valueName: String, changesBits: Bool, help: String, usual words: String, allowed: String) -> Setting {
    Setting(
      key, valueName: valueName, changesBits: changesBits, help: help, usual: words, allowed: allowed, default: { _ in nil },
      read: { number in
        guard number.isFinite, number > 0 else { throw RunError.usage("`\(key)` is \(number), but must be \(allowed)") }
        return number
      }, give: { $0 })
  }
}

extension Setting where Given == String, Value == String {
  /// Makes a setting that is a text.
  static func text(
    _ key: String, changesBits: Bool, help: String, usual words: String? = nil,
    default usual: @escaping @Sendable (RunConfiguration) -> String,
    read: @escaping @Sendable (String) throws -> String = { $0 }, stored: StoredForm<String>? = nil
  ) -> Setting {
    Setting(
      key, changesBits: changesBits, help: help, usual: words, default: usual, read: read, give: { $0 }, stored: stored)
  }
}

extension Setting where Given == String, Value: CaseIterable {
  /// Makes a setting that is one of a few values.
  /// - Parameters:
  ///   - name: The name of a value.
  ///   - isNew: Whether its default is not stored, so that documents stay the same as those of releases without this setting.
  ///   - isSwept: Whether all values are worth trying to see the setting's effect on cost.
  static func choice(
    _ key: String, changesBits: Bool, help: String, default usual: Value, name: @escaping @Sendable (Value) -> String,
    isNew: Bool = false, isSwept: Bool = false
  ) -> Setting {
    let read: @Sendable (String) throws -> Value = { text in
      if let value = Value.allCases.first(where: { name($0) == text }) { return value }
      var names = Value.allCases.map(name)
      let last = names.removeLast()
      throw RunError.usage("`\(key)` is '\(text)', but must be \(names.joined(separator: ", ")) or \(last)")
    }
    let whereNew = StoredForm<Value>(encoded: { (value: Value) -> String? in value == usual ? nil : name(value) }, decoded: read)
    let ladder: @Sendable (SweepMeasurement) -> [Value] = { _ in Array(Value.allCases) }
    return Setting(
      key, changesBits: changesBits, help: help, default: { _ in usual }, read: read, give: { name($0) },
      stored: isNew ? whereNew : nil, ladder: isSwept ? ladder : nil)
  }
}

extension Setting where Given == String, Value == String? {
  /// Makes a setting that is a text, or nil if none is given.
  static func optionalText(
    _ key: String, changesBits: Bool, help: String, usual words: String,
    read: @escaping @Sendable (String) throws -> String = { $0 }
  ) -> Setting {
    Setting(key, changesBits: changesBits, help: help, usual: words, default: { _ in nil }, read: read, give: { $0 })
  }
}

extension Setting where Given == String, Value == Int? {
  /// Makes a setting that is a size in bytes, or nil for no limit.
  static func size(
    _ key: String, help: String, ladder: @escaping @Sendable (SweepMeasurement) -> [Int]
  ) -> Setting {
    Setting(
      key, valueName: "size", changesBits: false, help: help, usual: "any", allowed: "a size such as 500MiB or 2GiB",
      default: { _ in nil }, read: { try RunConfiguration.bytes(key, $0) }, give: { $0.map { ByteCount.bytes($0).description } },
      stored: StoredForm(encoded: { $0 }, decoded: { try RunConfiguration.bytes(key, String($0)) }), ladder: ladder)
  }
}
