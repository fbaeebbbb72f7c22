def train(model, epochs=2):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        model.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
    return model


for width in (6, 8):
    model = train(Net(width).to(device))
    print(
        f"width {width}: {count_parameters(model):,} parameters, test accuracy {accuracy(model, test_loader):.2f} %"
    )
