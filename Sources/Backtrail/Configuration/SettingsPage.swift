import Runs
/// The page of the documentation that lists all settings.
public enum SettingsPage {
  /// The page as Markdown.
  public static var markdown: String {
    let rows = SettingsTable.descriptions.map { setting in
      let name = setting.valueName ?? setting.key
      let cells = [
        "`--\(setting.key) <\(name)>`",
        cell(setting.help + (setting.allowed.isEmpty ? "" : " Takes \(setting.allowed).")), cell(setting.usual),
        setting.changesBits ? "yes" : "no",
      ]
      return "| \(cells.joined(separator: " | ")) |"
    }
    return """
      # Options

      The settings of a run: flags of `backtrail train`, `plan` and `frontier`, and, without their dashes, keys of a file that
      `--config` names (`learning-rate: 0.1`, `order: [forward, backward]`). Flags come before the file, the file before the
      defaults. "Bits" says whether another value can change a bit of an iterate, or of what is observed of it; the others decide
      what is observed, and what a run costs. `make options` writes this page.

      | option | meaning | default | bits |
      | --- | --- | --- | --- |
      \(rows.joined(separator: "\n"))

      """
  }

  /// Escapes the characters that would end a cell.
  private static func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }
}
