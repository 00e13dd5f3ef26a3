import ArgumentParser
import Datasets

struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "The data sets there are, or one of them.", subcommands: [List.self, Info.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The kinds of data set that --data reads.")

    func run() throws {
      try printResult(textTable(Dataset.catalogue.map { [$0.form, $0.summary] }, alignment: [.left, .left]))
    }
  }

  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Reads a data set whole, checks it and describes it.")

    @Argument(help: "The data set, as for --data.")
    var data: String

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
      // A table's target may be classes or numbers: what it is not, it may still be described as.
      let dataset: Dataset
      do {
        dataset = try Dataset.load(data, context: 64)
      } catch {
        guard let values = try? Dataset.load(data, context: 64, targets: .values) else { throw error }
        dataset = values
      }
      let document = Document(dataset)
      if json {
        try printJSON(document)
      } else {
        try printResult(
          textTable(
            [
              ["data", dataset.name],
              ["training examples", grouped(document.trainingExamples)],
              ["test examples", grouped(document.testExamples)],
              ["example shape", document.exampleShape.map(String.init).joined(separator: " × ")],
              ["classes", document.classes.map(String.init) ?? "none: values"],
              ["resident", "\(grouped(document.residentBytes)) bytes"],
              ["fingerprint", document.fingerprint],
            ], alignment: [.left, .left]))
      }
    }

    private struct Document: Encodable {
      let data: String
      let trainingExamples: Int
      let testExamples: Int
      let exampleShape: [Int]
      let classes: Int?
      let residentBytes: Int
      let fingerprint: String

      init(_ dataset: Dataset) {
        data = dataset.name
        trainingExamples = dataset.training.count
        testExamples = dataset.test.count
        exampleShape = dataset.exampleShape
        classes = dataset.classCount
        residentBytes = dataset.training.byteCount + dataset.test.byteCount
        fingerprint = dataset.fingerprint.description
      }
    }
  }
}
