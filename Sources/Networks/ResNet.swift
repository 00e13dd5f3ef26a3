extension ModelFamily {
  static let resNet18 = resNet("resnet18", blocks: [2, 2, 2, 2], hasBottlenecks: false)
  static let resNet50 = resNet("resnet50", blocks: [3, 4, 6, 3], hasBottlenecks: true)

  /// A residual network (He, Zhang, Ren, Sun 2016) in the form for CIFAR's small images: a 3 × 3 convolution at first,
  /// and no pool after it. All else, names included, is torchvision's: a stride lies in the 3 × 3 convolution of a
  /// bottleneck.
  /// - Parameter blocks: how many each of the four groups has.
  private static func resNet(_ name: String, blocks: [Int], hasBottlenecks: Bool) -> ModelFamily {
    ModelFamily(name: name, form: "\(name)[:WIDTH] (channels of the first group, by default 64)") { options in
      let width = options.map { Int($0) ?? 0 } ?? 64
      guard (1...4096).contains(width) else { return nil }
      return (nil, { inputShape, classCount throws(NetworkError) in
        guard inputShape.count == 3 else {
          throw .shape("\(name) needs images of height × width × channels, not examples of shape \(inputShape)")
        }
        var layers: [(name: String, layer: any Layer)] = [
          ("conv1", Convolution(width, size: 3, padding: 1, bias: false)), ("bn1", BatchNormalization()),
          ("relu", ReLU()),
        ]
        var inputs = width
        for (group, count) in blocks.enumerated() {
          for block in 0..<count {
            let stride = group > 0 && block == 0 ? 2 : 1
            let channels = width << group
            let outputs = hasBottlenecks ? 4 * channels : channels
            layers.append(
              (
                "layer\(group + 1).\(block)",
                Residual(
                  hasBottlenecks ? bottleneck(channels, stride: stride) : basicBlock(channels, stride: stride),
                  shortcut: stride == 1 && inputs == outputs ? [] : projection(outputs, stride: stride),
                  rectified: true)
              ))
            inputs = outputs
          }
        }
        return layers + [("avgpool", GlobalAveragePooling()), ("fc", Dense(classCount))]
      })
    }
  }

  private static func basicBlock(_ channels: Int, stride: Int) -> [(name: String, layer: any Layer)] {
    [
      ("conv1", Convolution(channels, size: 3, stride: stride, padding: 1, bias: false)), ("bn1", BatchNormalization()),
      ("relu1", ReLU()), ("conv2", Convolution(channels, size: 3, padding: 1, bias: false)),
      ("bn2", BatchNormalization()),
    ]
  }

  private static func bottleneck(_ channels: Int, stride: Int) -> [(name: String, layer: any Layer)] {
    [
      ("conv1", Convolution(channels, size: 1, bias: false)), ("bn1", BatchNormalization()), ("relu1", ReLU()),
      ("conv2", Convolution(channels, size: 3, stride: stride, padding: 1, bias: false)), ("bn2", BatchNormalization()),
      ("relu2", ReLU()), ("conv3", Convolution(4 * channels, size: 1, bias: false)), ("bn3", BatchNormalization()),
    ]
  }

  private static func projection(_ channels: Int, stride: Int) -> [(name: String, layer: any Layer)] {
    [
      ("downsample.0", Convolution(channels, size: 1, stride: stride, bias: false)),
      ("downsample.1", BatchNormalization()),
    ]
  }
}
