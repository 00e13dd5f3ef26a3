import Foundation
import Tensors

/// The parsed form of `tokens:DIR[,vocabulary=N]`.
struct TokensSpecification: Equatable, Sendable, CustomStringConvertible {
  let folder: String
  /// The number of different tokens there may be, whether or not all of them occur.
  let vocabulary: Int

  /// The number of GPT-2's tokens.
  static let usualVocabulary = 50_257

  /// The option follows the folder's name, which may itself contain commas.
  init(_ argument: String, absolute: (String) -> String) throws(SpecificationProblem) {
    var (name, vocabulary) = (argument[...], Self.usualVocabulary)
    if let option = argument.range(of: ",vocabulary=", options: .backwards) {
      guard let number = Int(argument[option.upperBound...]), (2...65_536).contains(number) else {
        let value = excerpt(String(argument[option.upperBound...]))
        throw SpecificationProblem(reason: "`vocabulary=` is a whole number from 2 to 65536, not “\(value)”")
      }
      (name, vocabulary) = (argument[..<option.lowerBound], number)
    }
    guard !name.isEmpty else { throw SpecificationProblem(reason: "`tokens:` needs a folder") }
    folder = absolute(String(name))
    self.vocabulary = vocabulary
  }

  var description: String { "\(folder),vocabulary=\(vocabulary)" }
}
