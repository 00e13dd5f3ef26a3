import Foundation

/// A parsed data specification such as `csv:iris.csv,label=species`. Its description is the canonical form: it
/// includes every option, and paths are absolute, so that a run can be resumed from another folder.
enum DatasetSpecification: Equatable, CustomStringConvertible {
  case digits
  case mnist(folder: String)
  case cifar(CIFAR, folder: String)
  case text(file: String)
  case tokens(TokensSpecification)
  case csv(CSVSpecification)
  case synthetic(GaussianClouds)

  init(_ text: String) throws(DatasetError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let argument = parts.count > 1 ? String(parts[1]) : ""
    switch parts.first {
    case "digits":
      guard parts.count == 1 else { throw .unknown(specification: text, reason: "`digits` takes no argument") }
      self = .digits
    case "mnist":
      guard !argument.isEmpty else { throw .unknown(specification: text, reason: "`mnist:` needs a folder") }
      self = .mnist(folder: Self.absolute(argument))
    case "cifar10", "cifar100":
      let kind: CIFAR = parts.first == "cifar10" ? .ten : .hundred
      guard !argument.isEmpty else {
        throw .unknown(specification: text, reason: "`cifar\(kind.classCount):` needs a folder")
      }
      self = .cifar(kind, folder: Self.absolute(argument))
    case "text":
      guard !argument.isEmpty else { throw .unknown(specification: text, reason: "`text:` needs a file") }
      self = .text(file: Self.absolute(argument))
    case "tokens":
      do { self = .tokens(try TokensSpecification(argument, absolute: Self.absolute)) } catch {
        throw .unknown(specification: text, reason: error.reason)
      }
    case "csv":
      do { self = .csv(try CSVSpecification(argument, absolute: Self.absolute)) } catch {
        throw .unknown(specification: text, reason: error.reason)
      }
    case "synthetic":
      do { self = .synthetic(try GaussianClouds(options: argument)) } catch {
        throw .unknown(specification: text, reason: error.reason)
      }
    default:
      throw .unknown(specification: text, reason: "there is no such kind of data")
    }
  }

  var description: String {
    switch self {
    case .digits: "digits"
    case .mnist(let folder): "mnist:\(folder)"
    case .cifar(let kind, let folder): "cifar\(kind.classCount):\(folder)"
    case .text(let file): "text:\(file)"
    case .tokens(let tokens): "tokens:\(tokens)"
    case .csv(let table): "csv:\(table)"
    case .synthetic(let clouds): "synthetic:\(clouds)"
    }
  }

  var isTable: Bool {
    if case .csv = self { true } else { false }
  }

  /// The absolute path, with the home folder expanded: a shell does not expand the `~` of `mnist:~/data`.
  private static func absolute(_ path: String) -> String {
    URL(fileURLWithPath: (path as NSString).expandingTildeInPath).standardizedFileURL.path
  }
}

/// An error in the options of a specification.
struct SpecificationProblem: Error {
  let reason: String
}

extension Dataset {
  /// A form of data specifications, for listings.
  public struct Form: Sendable {
    /// The form itself, such as `mnist:DIR`.
    public let form: String
    /// A description of the data in one line.
    public let summary: String
  }

  /// Every form of specification that `load` accepts.
  public static let catalogue = [
    Form(form: "digits", summary: "1,797 handwritten digits of 8 × 8 pixels, built in (the default)"),
    Form(form: "mnist:DIR", summary: "IDX files in MNIST's naming, gzip-compressed or not; Fashion-MNIST too"),
    Form(form: "cifar10:DIR", summary: "binary records, data_batch_*.bin and test_batch.bin, gzip-compressed or not"),
    Form(form: "cifar100:DIR", summary: "binary records, train.bin and test.bin, gzip-compressed or not; the fine classes"),
    Form(form: "text:FILE", summary: "characters in UTF-8, the first nine tenths to train on; for models such as gpt"),
    Form(
      form: "tokens:DIR[,vocabulary=50257]",
      summary: "train.bin and val.bin of 16-bit tokens, as nanoGPT and llm.c write them; for models such as gpt"),
    Form(
      form: "csv:FILE[,target=COLUMN][,missing=drop|mean]",
      summary: "numbers; the target, of classes 0, 1, 2, … or values, is label, class, target or y, else the last column"),
    Form(
      form: "synthetic[:examples=2000,features=20,classes=4,noise=1,seed=1]",
      summary: "Gaussian clouds, one around the mean of each class"),
  ]
}
