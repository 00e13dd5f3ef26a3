import Mustache

/// A page of text, tables and charts, which knows nothing about their subject.
///
///     ReportPage(title: "mlp:128 on digits", sections: [
///       .init("Orders compared", [.table(summary), .paragraph("Read it so: …"), .chart(curves)]),
///     ]).html()
public struct ReportPage: Sendable {
  public enum Block: Sendable {
    case paragraph(String)
    /// A paragraph that must not be overlooked.
    case notice(String)
    /// A list of sentences, each a paragraph of its own.
    case list([String])
    /// A command to be copied to a shell.
    case command(String)
    case table(Table)
    /// A table whose rows consist of a name and a value.
    case facts(Table)
    case chart(Chart)
  }

  public struct Section: Sendable {
    public var title: String
    public var blocks: [Block]

    public init(_ title: String, _ blocks: [Block]) {
      self.title = title
      self.blocks = blocks
    }
  }

  public var title: String
  /// The subtitle, shown below the title.
  public var subtitle: String
  public var sections: [Section]

  public init(title: String, subtitle: String = "", sections: [Section]) {
    self.title = title
    self.subtitle = subtitle
    self.sections = sections
  }

  /// The page as one self-contained file: HTML that is also XML, with its style sheet and charts inside.
  /// - Throws: Mustache's error if the template is not valid.
  public func html() throws -> String {
    try Self.template.get().render([
      "title": title, "subtitle": subtitle, "chartStyle": Chart.style,
      "sections": sections.map { ["heading": $0.title, "blocks": $0.blocks.map(Self.view)] as [String: Any] },
    ])
  }

  private static let template = Result {
    MustacheContentTypes.register(XMLContentType(), named: "XML")
    return try MustacheTemplate(string: String(decoding: PackageResources.page_mustache, as: UTF8.self))
  }
}

/// Escapes by scalars (see `escaped(_:)`), whereas Mustache's own escaping goes by characters.
private struct XMLContentType: MustacheContentType {
  func escapeText(_ text: String) -> String { escaped(text) }
}

// MARK: What the template sees

extension ReportPage {
  /// A block under the name of its kind, which is also the template's section for it.
  private static func view(_ block: Block) -> [String: Any] {
    switch block {
    case .paragraph(let text): ["paragraph": text]
    case .notice(let text): ["notice": text]
    case .list(let items): ["list": ["items": items]]
    case .command(let text): ["command": text]
    case .table(let table): ["table": view(table)]
    case .facts(let table):
      ["facts": ["rows": table.rows.map { ["name": $0.first ?? "", "value": $0.dropFirst().joined(separator: " ")] }]]
    case .chart(let chart):
      [
        "chart": [
          "caption": chart.title, "note": chart.note.isEmpty ? [] : [chart.note],
          "figures": Chart.Format.allCases.map(chart.figure),
        ] as [String: Any]
      ]
    }
  }

  private static func view(_ table: Table) -> [String: Any] {
    func cells(_ texts: [String]) -> [[String: Any]] {
      zip(texts, table.alignment).map { ["text": $0, "isNumber": $1 == .right] }
    }
    return [
      "isWide": table.alignment.count > 8,
      "header": table.header.isEmpty ? [] : [["cells": cells(table.header)]],
      "rows": table.rows.enumerated().map { index, row in
        ["isMarked": table.marked.contains(index), "cells": cells(row)] as [String: Any]
      },
    ]
  }
}
