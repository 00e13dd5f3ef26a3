import Backtrail
import Foundation
import Yams

/// Reads a YAML file whose keys are the options of `train`, such as `learning-rate: 0.1` or
/// `order: [forward, backward]`.
func readConfigurationFile(_ path: String) throws -> RunSettings {
  guard let text = FileManager.default.contents(atPath: path).map({ String(decoding: $0, as: UTF8.self) }) else {
    throw RunError.missing("can't read the configuration file \(path): check that it exists and may be read")
  }
  let known = RunSettings.CodingKeys.allCases.map(\.rawValue)
  do {
    let node = try Yams.compose(yaml: text)
    guard let node, node.null == nil else { return RunSettings() }
    guard let mapping = node.mapping else {
      throw RunError.usage("\(path) must hold keys and values, such as 'learning-rate: 0.1'")
    }
    for (key, _) in mapping where !known.contains(key.string ?? "") {
      let line = key.mark.map { ", line \($0.line)" } ?? ""
      throw RunError.usage("\(path)\(line): there is no option '\(key.string ?? "?")'; there are \(known.joined(separator: ", "))")
    }
    return try YAMLDecoder().decode(RunSettings.self, from: node)
  } catch let error as RunError {
    throw error
  } catch DecodingError.typeMismatch(let type, let context) {
    let key = context.codingPath.map(\.stringValue).joined(separator: ".")
    throw RunError.usage("\(path): the value of '\(key)' is not of the kind \(type)")
  } catch let error as DecodingError {
    throw RunError.usage("\(path): \(error)")
  } catch {
    throw RunError.usage("\(path) is not YAML: \(error)")
  }
}
