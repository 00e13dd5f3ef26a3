import Runs
import Datasets
import Yams

extension RunSettings {
  /// Reads a YAML file whose keys are the options of `train`, such as `learning-rate: 0.1` or
  /// `order: [forward, backward]`.
  /// - Throws: `DatasetError` if the file can't be read, and `RunError.usage` if it is not a valid configuration.
  public init(configurationFile path: String) throws {
    let bytes = try InputFile.read(
      path, limit: ConfigurationFile.mostBytes, remedy: "Check that it is a file of settings, a key and its value a line.")
    self = try ConfigurationFile(path: path).settings(bytes)
  }
}

/// Reads the text of a configuration file.
private struct ConfigurationFile {
  /// The path of the file, for messages.
  let path: String

  /// The size limit of the file in bytes.
  static let mostBytes = 1 << 16

  func settings(_ bytes: [UInt8]) throws(RunError) -> RunSettings {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .usage("\(path) is not text in UTF-8; convert it, for example with iconv")
    }
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(Self.withoutComment)
    try refuseReferences(in: lines)
    let node: Node?
    do {
      // Without rules, every scalar is read as its text.
      node = try Parser(yaml: lines.joined(separator: "\n"), resolver: .basic).singleRoot()
    } catch {
      throw .usage("\(path) is not YAML: \("\(error)".prefix(400))")
    }
    var settings = RunSettings()
    guard let node, !Self.isNull(node) else { return settings }
    guard let mapping = node.mapping else {
      throw .usage("\(path) must hold keys and values, such as 'learning-rate: 0.1'")
    }
    for (key, value) in mapping {
      let name = key.scalar?.string ?? "?"
      guard let setting = SettingsTable.byKey[name] else {
        throw .usage("\(place(of: key)): there is no option '\(name)'; there are \(RunSettings.keys.joined(separator: ", "))")
      }
      if Self.isNull(value) { continue }
      let elements = value.sequence.map(Array.init) ?? [value]
      let texts = elements.compactMap { $0.scalar?.string }
      guard texts.count == elements.count else {
        throw .usage("\(place(of: value)): '\(name)' takes a value or a list of them, not keys and lists inside")
      }
      if let right = settings.set(setting, to: texts) {
        throw .usage("\(place(of: value)): '\(name)' is '\(texts.joined(separator: ", "))', but must be \(right)")
      }
    }
    return settings
  }

  private func place(of node: Node) -> String { node.mark.map { "\(path), line \($0.line)" } ?? path }

  private static func isNull(_ node: Node) -> Bool {
    guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else { return false }
    return ["", "~", "null"].contains(scalar.string)
  }
}

// MARK: - References

extension ConfigurationFile {
  /// A line without its comment. After a quote a `#` may not begin a comment, so the parser decides.
  private static func withoutComment(_ line: Substring) -> Substring {
    var previous: Unicode.Scalar = " "
    for index in line.unicodeScalars.indices {
      let scalar = line.unicodeScalars[index]
      if scalar == "\"" || scalar == "'" { return line }
      if scalar == "#", previous.properties.isWhitespace { return line[..<index] }
      previous = scalar
    }
    return line
  }

  /// Refuses anchors and aliases, with which a few lines could exhaust memory or keep the parser busy for hours.
  /// Settings need none, so anything that looks like one is refused before it is parsed, even inside quotes.
  private func refuseReferences(in lines: [Substring]) throws(RunError) {
    let before: [Unicode.Scalar] = ["[", "]", "{", "}", ",", ":", "?", "-"]
    for (number, line) in zip(1..., lines) {
      var previous: Unicode.Scalar = " "
      for index in line.unicodeScalars.indices {
        let scalar = line.unicodeScalars[index]
        let next = line.unicodeScalars[index...].dropFirst().first
        if scalar == "&" || scalar == "*", previous.properties.isWhitespace || before.contains(previous),
          next.map({ !$0.properties.isWhitespace }) ?? false
        {
          throw .usage(
            """
            \(path), line \(number): '\(line[index...].prefix(20))' looks like an anchor or alias of YAML, which files of \
            settings can't have; write the value itself
            """)
        }
        previous = scalar
      }
    }
  }
}
