import Tensors

/// The distinct characters of a text, numbered in the order of Unicode scalars, or the tokens of one, which are only
/// known by their numbers.
public struct Vocabulary: Sendable, Equatable {
  /// The characters; nil if the text consists of tokens.
  public let characters: [Unicode.Scalar]?
  private let numbers: [Unicode.Scalar: Int]
  public let count: Int

  init(of text: some Sequence<Unicode.Scalar>) {
    let characters = Set(text).sorted()
    numbers = Dictionary(uniqueKeysWithValues: characters.enumerated().map { ($1, $0) })
    count = characters.count
    self.characters = characters
  }

  /// A vocabulary of tokens without a tokenizer: texts are the numbers of tokens, separated by blanks.
  init(tokens count: Int) {
    characters = nil
    numbers = [:]
    self.count = count
  }

  /// - Throws: `DatasetError.impossible`, naming a character that is not in the text, or what is no token.
  public func encode(_ text: String) throws(DatasetError) -> [Int] {
    var encoded: [Int] = []
    guard characters != nil else {
      for word in text.split(whereSeparator: \.isWhitespace) {
        guard let number = Int(word), (0..<count).contains(number) else {
          throw .impossible(
            "the model was trained on tokens, whose numbers are 0 to \(count - 1); '\(excerpt(String(word)))' is none")
        }
        encoded.append(number)
      }
      return encoded
    }
    for character in text.unicodeScalars {
      guard let number = numbers[character] else {
        throw .impossible("the character '\(character)' does not occur in the text the model was trained on")
      }
      encoded.append(number)
    }
    return encoded
  }

  /// - Parameter numbers: Numbers of characters or tokens, each below `count`.
  public func decode(_ numbers: [Int]) -> String {
    guard let characters else { return numbers.map(String.init).joined(separator: " ") }
    var text = String.UnicodeScalarView()
    for number in numbers { text.append(characters[number]) }
    return String(text)
  }

  /// What a text that continues nothing begins with: a line break, or the last token, which in GPT-2's vocabulary parts
  /// texts.
  /// - Throws: `DatasetError.impossible` if there is no line break in the text.
  public func beginning() throws(DatasetError) -> [Int] { characters == nil ? [count - 1] : try encode("\n") }

  /// What stands between two texts that follow each other: nothing, or a blank between numbers of tokens.
  public var separator: String { characters == nil ? " " : "" }

  func number(of character: Unicode.Scalar) -> Int? { numbers[character] }
}
