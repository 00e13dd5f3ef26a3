import Foundation

extension Dataset {
  /// Reads a folder with `train.bin` and `val.bin`, files of tokens (`TokenFile`). Training examples are the windows of
  /// `context` tokens at every position of the first; test examples are adjacent windows of the second, so that every
  /// token is predicted once. Labels are the next tokens.
  ///
  /// The classes are all tokens of the vocabulary, whether or not they occur. Tokens beyond it are errors.
  /// - Parameter context: The number of tokens that the model sees at once; nil if the model does not read text.
  static func tokens(
    _ specification: TokensSpecification, context: Int?, room: inout Int
  ) throws(DatasetError) -> Dataset {
    guard let context else {
      throw .impossible("tokens:\(specification.folder) needs a model that reads text, such as `model` gpt:context=64")
    }
    let training = try tokenFile("train.bin", in: specification.folder)
    let test = try tokenFile("val.bin", in: specification.folder)
    for tokens in [training, test] where tokens.count <= context {
      throw .impossible(
        """
        \(tokens.file.path) holds \(tokens.count) tokens, too few for a window of \(context) and the token after it; name a \
        longer text, or a model with a smaller context
        """)
    }
    return try Dataset(
      name: DatasetSpecification.tokens(specification).description,
      training: Examples(
        windows: TextWindows(text: training.text(room: &room), context: context, stride: 1),
        classCount: specification.vocabulary),
      test: Examples(
        windows: TextWindows(text: test.text(room: &room), context: context, stride: context),
        classCount: specification.vocabulary),
      vocabulary: Vocabulary(tokens: specification.vocabulary))
  }

  private static func tokenFile(_ name: String, in folder: String) throws(DatasetError) -> TokenFile {
    let path = "\(folder)/\(name)"
    guard FileManager.default.fileExists(atPath: path) else {
      throw .missing(
        path: folder, reason: "holds no \(name)",
        remedy: """
          Name a folder with train.bin and val.bin, tokens of 2 bytes each as nanoGPT and llm.c write them; a file with another \
          name can be linked to under this one.
          """)
    }
    return try TokenFile(path: path)
  }
}
