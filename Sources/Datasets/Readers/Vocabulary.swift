/// The distinct characters of a text, numbered in the order of Unicode scalars.
public struct Vocabulary: Sendable, Equatable {
  public let characters: [Unicode.Scalar]
  private let numbers: [Unicode.Scalar: Int]

  init(of text: some Sequence<Unicode.Scalar>) {
    characters = Set(text).sorted()
    numbers = Dictionary(uniqueKeysWithValues: characters.enumerated().map { ($1, $0) })
  }

  public var count: Int { characters.count }

  /// - Throws: `DatasetError.impossible`, naming a character that is not in the text.
  public func encode(_ text: String) throws(DatasetError) -> [Int] {
    var encoded: [Int] = []
    for character in text.unicodeScalars {
      guard let number = numbers[character] else {
        throw .impossible("the character '\(character)' does not occur in the text the model was trained on")
      }
      encoded.append(number)
    }
    return encoded
  }

  /// - Parameter numbers: Numbers of characters, each below `count`.
  public func decode(_ numbers: [Int]) -> String {
    var text = String.UnicodeScalarView()
    for number in numbers { text.append(characters[number]) }
    return String(text)
  }

  func number(of character: Unicode.Scalar) -> Int? { numbers[character] }
}
