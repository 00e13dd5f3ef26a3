import Tensors

/// A training split and a test split of the same kind of examples.
///
///     let digits = try Dataset.load("digits")
///     digits.training.count       // 1437
///     digits.exampleShape         // [8, 8, 1]
public struct Dataset: Sendable {
  /// The specification that loads the data set again from any folder: every option is included, and paths are
  /// absolute.
  public let name: String

  public let training: Examples
  public let test: Examples

  /// The characters of a text, or the numbers of tokens; nil for other data.
  public let vocabulary: Vocabulary?

  /// The digest of everything that training and evaluation read: shapes, classes, targets, features and divisors of
  /// both splits. It does not include the name, so that moved files count as the same data.
  public let fingerprint: Digest

  /// - Throws: `DatasetError.impossible` if a split is empty or the two differ in shapes or classes, and what reading
  ///   examples in files throws.
  public init(
    name: String, training: Examples, test: Examples, vocabulary: Vocabulary? = nil
  ) throws(DatasetError) {
    guard training.count > 0, test.count > 0 else {
      throw .impossible("\(name): both the training and the test split need examples")
    }
    guard training.exampleShape == test.exampleShape else {
      throw .impossible("\(name): training examples are \(training.exampleShape), test examples \(test.exampleShape)")
    }
    guard training.targetKind == test.targetKind, training.targetShape == test.targetShape else {
      throw .impossible(
        """
        \(name): training targets are \(training.targetKind.rawValue) of shape \(training.targetShape), test targets \
        \(test.targetKind.rawValue) of shape \(test.targetShape)
        """)
    }
    guard training.classCount == test.classCount else {
      throw .impossible("\(name): \(training.classCount ?? 0) classes to train on, \(test.classCount ?? 0) to test on")
    }
    self.name = name
    self.training = training
    self.test = test
    self.vocabulary = vocabulary
    var builder = DigestBuilder()
    try training.add(to: &builder)
    try test.add(to: &builder)
    if let characters = vocabulary?.characters { builder.add(String(String.UnicodeScalarView(characters))) }
    fingerprint = builder.digest
  }

  /// The shape of one example, channels last.
  public var exampleShape: [Int] { training.exampleShape }

  /// Whether targets are classes or real values.
  public var targetKind: Targets.Kind { training.targetKind }

  /// The shape of one example's targets: [] for a single one, [k] for k values, [positions] for one at each position.
  public var targetShape: [Int] { training.targetShape }

  /// The number of classes; nil if targets are real values.
  public var classCount: Int? { training.classCount }

  /// The number of values that a model predicts for an example, at each position if targets have positions: one logit
  /// per class, or one number per target.
  public var outputCount: Int { classCount ?? training.targetCount }

  /// The size in bytes that both splits take in memory. What is in files does not count.
  public var byteCount: Int { training.byteCount + test.byteCount }

  /// Reads or generates the data set of a specification, which has one of the forms in `catalogue`.
  /// - Parameters:
  ///   - context: The number of characters or tokens of a text that the model sees at once; other data ignore it.
  ///   - targets: The kind of targets that the loss needs. Only the column of a table can be read as either kind.
  ///   - residentLimit: The largest size in bytes of features that stay in memory. Larger data stay in their files, or
  ///     if those are compressed or tables, in temporary ones, and batches read their own examples. Files must not
  ///     change as long as the data set is in use.
  /// - Throws: `DatasetError`; in particular `.impossible` if values are asked for and the data have classes.
  public static func load(
    _ specification: String, context: Int? = nil, targets: Targets.Kind = .classes, residentLimit: Int = mostResidentBytes
  ) throws(DatasetError) -> Dataset {
    let parsed = try DatasetSpecification(specification)
    guard targets == .classes || parsed.isTable else {
      throw .impossible(
        """
        the targets of \(parsed) are classes, but the loss compares with real values; take a loss for classes, or values in a \
        table, `csv:FILE,target=COLUMN`
        """)
    }
    // What is still free of the limit.
    var room = residentLimit
    return switch parsed {
    case .digits: try digits()
    case .mnist(let folder): try mnist(folder: folder, room: &room)
    case .cifar(let kind, let folder): try cifar(kind, folder: folder, room: &room)
    case .text(let file): try text(file: file, context: context, room: &room)
    case .tokens(let tokens): try self.tokens(tokens, context: context, room: &room)
    case .csv(let table): try csv(table, targets: targets, room: &room)
    case .synthetic(let clouds): try clouds.dataset()
    }
  }

  /// The size in bytes up to which the features of a data set stay in memory.
  public static let mostResidentBytes = 64 << 20

  /// Whether an example of a file that contains both splits is a test example: every fifth one is, starting with the
  /// first.
  static func isTest(_ index: Int) -> Bool { index.isMultiple(of: 5) }
}
